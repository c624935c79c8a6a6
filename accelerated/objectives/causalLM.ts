/** Causal language modeling: the hidden state of each token predicts the next token, where that one has a label. */
import type { Expression, FloatType } from '../graph/expression.js'
import { add, input, mul, reduceSum } from '../graph/operators.js'
import type { Model } from '../models/architecture.js'
import { floatFeed, scalarFeed } from '../engines/feeds.js'
import { headTensors, type Objective } from './objective.js'
import { labeledDimension, labeledFeeds, labeledRows, slices, tokenLosses, unlabeled, type LabeledText } from './labeledTokens.js'
import { causalOutputs, selectHead } from '../models/modelOutputs.js'

export type TextExample = LabeledText & {
  /** the end of each text, if several share the example (packing); attention does not cross texts */
  readonly ends?: readonly number[]
}

/** Mean loss of an example's labeled tokens, and their number. */
export type TextAnswer = { readonly loss: number; readonly tokens: number }

/** @param method one that trains all also trains the head */
export const causalLM = (
  model: Model,
  method: { readonly train: { readonly trainsAll?: boolean } } = { train: {} },
): Objective<TextExample, TextAnswer> => {
  const head = model.causalHead?.()
  if (head === undefined) throw new Error(`causalLM: expected a decoder, got ${model.type}`)
  const weighted = (bySlice: readonly Expression[], dtype: FloatType): readonly Expression[] =>
    bySlice.map((loss, i) => mul(loss, input(`rowWeights${i}`, ['labeled'], dtype)))
  return {
    name: 'causal',
    tensors: (groups) => headTensors(selectHead(model, causalOutputs, method), groups),
    outputs: ({ forward }, batch) => Object.fromEntries(tokenLosses(head, forward(batch)).map((loss, i) => [`losses${i}`, loss])),
    loss: ({ forward }, batch) => {
      const output = forward(batch)
      const { dtype } = output
      const sums = weighted(tokenLosses(head, output), dtype).map((loss) => reduceSum(loss))
      return mul(sums.reduce(add), input('lossWeight', [], dtype))
    },
    dimensions: labeledDimension,
    prepare: (examples) => {
      const counts = examples.map(({ targets }) => Array.from(targets).filter((target) => target !== unlabeled).length)
      const total = counts.reduce((a, b) => a + b, 0)
      const texts = examples.flatMap(splitTexts)
      return {
        texts,
        weight: total,
        feeds: ({ lastTokens, tokens }, whole, dtype) => ({
          ...labeledFeeds(labeledRows(texts, lastTokens), tokens, (i, part, size) => {
            const weights = Array.from({ length: size }, (_, j) => (j < part.length ? 1 : 0))
            return { [`rowWeights${i}`]: floatFeed(weights, [size], dtype) }
          }),
          lossWeight: scalarFeed(1 / whole, dtype),
        }),
        read: (results) => {
          const all = Array.from({ length: slices }, (_, i) => Array.from(results[`losses${i}`] ?? [], Number)).flat()
          let at = 0
          return counts.map((tokens) => {
            at += tokens
            return { loss: all.slice(at - tokens, at).reduce((a, b) => a + b, 0) / tokens, tokens }
          })
        },
      }
    },
  }
}

/** The texts of an example: several if it is packed. */
const splitTexts = ({ inputIds, targets, ends, row }: TextExample): readonly TextExample[] => {
  if (ends === undefined) return [{ inputIds, targets, row }]
  const part = (all: ArrayLike<number>, i: number): readonly number[] => Array.from(all).slice(ends[i - 1] ?? 0, ends[i])
  return ends.map((_, i) => ({ inputIds: part(inputIds, i), targets: part(targets, i), row }))
}
