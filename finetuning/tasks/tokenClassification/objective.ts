/** Token classification: a class for the first token of each word, from that token's hidden state. */
import type { Expression } from '../../../accelerated/graph/expression.js'
import { input, mul, reduceSum } from '../../../accelerated/graph/operators.js'
import type { Model } from '../../../accelerated/models/architecture.js'
import { buildTokenHead, type TokenOutputs } from '../../../accelerated/models/modelOutputs.js'
import { floatFeed, int32Feed, scalarFeed } from '../../../accelerated/engines/feeds.js'
import { unlabeled } from '../../../accelerated/objectives/labeledTokens.js'
import { headTensors, type ModelOutput, type Objective, type TrainingExample } from '../../../accelerated/objectives/objective.js'
import { crossEntropies } from '../../../accelerated/objectives/losses.js'

/**
 * targets: for each token the class of the word that begins there, or `unlabeled`: what the loss reads.
 * places: for each word the token that its class is read from: what an answer reads.
 */
export type TaggedExample = TrainingExample & { readonly targets: ArrayLike<number>; readonly places: readonly number[] }

/**
 * The loss is the mean cross-entropy over the labeled tokens of a step, as in transformers. An answer holds the logits of an example's words, one
 * row after another: [words · labels].
 */
export const tokenClassification = (
  model: Model,
  { labels }: Pick<TokenOutputs, 'labels'>,
): Objective<TaggedExample, readonly number[]> => {
  const head = buildTokenHead(model, labels)
  const logits = ({ hidden, host }: ModelOutput): Expression => head.outputs(hidden, host) // [tokens, labels]
  return {
    name: 'token',
    tensors: (groups) => headTensors(head, groups),
    outputs: ({ forward }, batch) => ({ logits: logits(forward(batch)) }),
    loss: ({ forward }, batch) => {
      const output = forward(batch)
      const { dtype } = output
      const losses = crossEntropies(logits(output), input('labels', ['tokens'], 'int32'))
      return mul(reduceSum(mul(losses, input('tokenWeights', ['tokens'], dtype))), input('lossWeight', [], dtype))
    },
    prepare: (examples) => ({
      texts: examples,
      weight: examples.reduce((sum, { targets }) => sum + labeledPlaces(targets).length, 0),
      feeds: ({ lastTokens, tokens }, whole, dtype) => {
        const [classes, weights] = [new Int32Array(tokens), new Array<number>(tokens).fill(0)]
        examples.forEach(({ targets }, example) => {
          const first = firstToken(targets.length, lastTokens[example])
          for (const place of labeledPlaces(targets)) {
            classes[first + place] = targets[place] ?? 0
            weights[first + place] = 1
          }
        })
        return {
          labels: int32Feed(classes),
          tokenWeights: floatFeed(weights, [tokens], dtype),
          lossWeight: scalarFeed(1 / Math.max(1, whole), dtype), // a batch of an evaluation may have no labeled token
        }
      },
      read: ({ logits: read }, { lastTokens }) =>
        examples.map(({ inputIds, places }, example) => {
          const first = firstToken(inputIds.length, lastTokens[example])
          return places.flatMap((place) => Array.from({ length: labels }, (_, j) => Number(read?.[(first + place) * labels + j])))
        }),
    }),
  }
}

/** The places of the labeled tokens in a text. */
const labeledPlaces = (targets: ArrayLike<number>): readonly number[] =>
  Array.from(targets).flatMap((target, place) => (target === unlabeled ? [] : [place]))

/** A text's first token in a batch, counted from its last one, since virtual tokens may precede the text. */
const firstToken = (length: number, last = 0): number => last + 1 - length
