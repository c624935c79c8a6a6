/** log p of answers, as sums or means over their tokens: of two texts per example, the first and the second of its row. */
import type { Expression, FloatType } from '../../../accelerated/graph/expression.js'
import { add, input, matMul, reshape } from '../../../accelerated/graph/operators.js'
import { floatFeed, type Feeds } from '../../../accelerated/engines/feeds.js'
import type { CausalHead } from '../../../accelerated/models/architecture.js'
import type { PackedBatch } from '../../../accelerated/models/packing.js'
import { labeledFeeds, labeledRows, tokenLosses, type LabeledText } from '../../../accelerated/objectives/labeledTokens.js'
import type { ModelOutput, TrainingExample } from '../../../accelerated/objectives/objective.js'

/** Where the two texts of an example end. They share a row of the data, not a row of attention. */
export const twoTexts = (row: number, first: LabeledText, second: LabeledText): TrainingExample & { readonly ends: readonly number[] } => ({
  row,
  inputIds: [...Array.from(first.inputIds), ...Array.from(second.inputIds)],
  ends: [first.inputIds.length, first.inputIds.length + second.inputIds.length],
})

const sides = ['first', 'second'] as const

/** log p of the first and of the second texts. → [pairs] each */
export const answerLogs = (head: CausalHead, output: ModelOutput): readonly [first: Expression, second: Expression] => {
  const losses = tokenLosses(head, output)
  const [first, second] = sides.map((side) =>
    losses
      .map((loss, i) => matMul(input(`${side}${i}`, ['pairs', 'labeled'], output.dtype), reshape(loss, ['labeled', 1])))
      .reduce((a, b) => add(a, b)),
  ) as [Expression, Expression]
  return [reshape(first, ['pairs']), reshape(second, ['pairs'])]
}

/** @param texts the first and the second text of each example, in turn @param of whether log p is a sum over the tokens, or their mean */
export const answerLogFeeds = (
  texts: readonly LabeledText[],
  { lastTokens, tokens }: Pick<PackedBatch, 'lastTokens' | 'tokens'>,
  of: 'sum' | 'mean',
  dtype: FloatType,
): Feeds => {
  const rows = labeledRows(texts, lastTokens)
  const counts = texts.map((_, text) => rows.filter((row) => row.text === text).length)
  /** log p of a text is −Σ of its losses, or the mean */
  const textWeight = (text: number): number => (of === 'sum' ? -1 : -1 / (counts[text] ?? NaN))
  return labeledFeeds(
    rows,
    tokens,
    (i, part, size) =>
      Object.assign(
        {},
        ...sides.map((side, first): Feeds => {
          const pairs = texts.length / 2
          const weights = new Float64Array(pairs * size)
          part.forEach(({ text }, j) => {
            if (text % 2 === first) weights[((text - first) / 2) * size + j] = textWeight(text)
          })
          return { [`${side}${i}`]: floatFeed(weights, [pairs, size], dtype) }
        }),
      ) as Feeds,
  )
}
