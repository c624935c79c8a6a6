/** Multiple choice: a decoder's log-probability of each answer to a question. Training makes the right answer more likely, as in causal language modeling. */
import type { Model } from '../../../accelerated/models/architecture.js'
import { floatFeed, scalarFeed } from '../../../accelerated/engines/feeds.js'
import { causalLM } from '../../../accelerated/objectives/causalLM.js'
import { labeledFeeds, labeledRows, slices, unlabeled, type LabeledText } from '../../../accelerated/objectives/labeledTokens.js'
import type { Objective, TrainingExample } from '../../../accelerated/objectives/objective.js'

/** A question with its answers. Each text holds the question, whose tokens have no label. */
export type ChoiceExample = TrainingExample & {
  readonly choices: readonly LabeledText[]
  /** the index of the right answer */
  readonly right: number
  /** the characters of each answer */
  readonly lengths: readonly number[]
}

/** The example of several texts: they share a row of the data, not a row of attention. */
export const choiceExample = (
  row: number,
  choices: readonly LabeledText[],
  { right, lengths }: Pick<ChoiceExample, 'right' | 'lengths'>,
): ChoiceExample => {
  const inputIds = choices.flatMap((text) => Array.from(text.inputIds))
  let end = 0
  return { row, choices, right, lengths, inputIds, ends: choices.map((text) => (end += text.inputIds.length)) }
}

/** logProbabilities: Σ log p of each answer's tokens · tokens: of the right answer */
export type ChoiceAnswer = {
  readonly logProbabilities: readonly number[]
  readonly lengths: readonly number[]
  readonly right: number
  readonly tokens: number
}

export const choice = (
  model: Model,
  method: { readonly train: { readonly trainsAll?: boolean } } = { train: {} },
): Objective<ChoiceExample, ChoiceAnswer> => {
  const { tensors, outputs, loss, dimensions } = causalLM(model, method)
  return {
    name: 'choice',
    ...{ tensors, outputs, loss },
    ...(dimensions === undefined ? {} : { dimensions }),
    prepare: (examples) => {
      const texts = examples.flatMap(({ choices }) => choices)
      const isRight = examples.flatMap(({ choices, right }) => choices.map((_, i) => i === right))
      const counts = texts.map(({ targets }) => Array.from(targets).filter((target) => target !== unlabeled).length)
      return {
        texts,
        weight: counts.reduce((sum, count, i) => sum + (isRight[i] === true ? count : 0), 0),
        feeds: ({ lastTokens, tokens }, whole, dtype) => ({
          ...labeledFeeds(labeledRows(texts, lastTokens), tokens, (i, part, size) => {
            const weights = Array.from({ length: size }, (_, j) => (isRight[part[j]?.text ?? -1] === true ? 1 : 0))
            return { [`rowWeights${i}`]: floatFeed(weights, [size], dtype) }
          }),
          lossWeight: scalarFeed(1 / whole, dtype),
        }),
        read: (results) => {
          const losses = Array.from({ length: slices }, (_, i) => Array.from(results[`losses${i}`] ?? [], Number)).flat()
          let at = 0
          const takeLogProbability = (count: number): number => {
            at += count
            return -losses.slice(at - count, at).reduce((a, b) => a + b, 0)
          }
          let text = 0
          return examples.map(({ choices, right, lengths }) => {
            const of = counts.slice(text, text + choices.length)
            text += choices.length
            return { logProbabilities: of.map(takeLogProbability), lengths, right, tokens: of[right] ?? NaN }
          })
        },
      }
    },
  }
}
