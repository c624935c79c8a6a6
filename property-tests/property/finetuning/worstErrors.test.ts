/** The worst errors of tagged sentences and of pairs, from made-up answers. */
import { describe, expect, it } from 'vitest'
import type { Example } from '../../../finetuning/data/dataset.js'
import { detailsFrom, textLimit } from '../../../finetuning/run/evaluationDetails.js'
import { pairs, similarity } from '../../../finetuning/tasks/embeddings/index.js'
import { singleLabel } from '../../../finetuning/tasks/classification/index.js'
import type { EvaluationError, EvaluationReport, TaskType } from '../../../finetuning/tasks/taskType.js'
import { tokenClassification } from '../../../finetuning/tasks/tokenClassification/index.js'

const worst = (
  taskType: TaskType,
  examples: readonly Example[],
  labelNames: readonly string[] | null,
  answers: readonly (readonly number[])[],
  count = 10,
): readonly EvaluationError[] => {
  const data = { taskType, metrics: [], selectionMetric: 'f1', labelNames, evaluation: { source: 'x', examples, labelNames, skipped: [] } }
  return taskType.bind(data).worstErrors?.(answers, count) ?? []
}
const unit = (degrees: number): readonly number[] => [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)]
const pairOf = (first: number, second: number): readonly number[] => [...unit(first), ...unit(second)]

describe('the worst errors', () => {
  it('of tagged sentences are those with a wrong tag, by the mean cross-entropy of their words', () => {
    const names = ['O', 'B-person', 'I-person']
    const sentence = (labels: readonly number[], row: number): Example => ({ text: 'x', label: 0, labels, row })
    const sure = (label: number, by = 2): readonly number[] => names.map((_, i) => (i === label ? by : 0))
    const examples = [sentence([0, 1, 2], 1), sentence([0, 1], 5), sentence([1, 0], 9), sentence([], 11)]
    const answers = [[...sure(0), ...sure(1), ...sure(2)], [...sure(0), ...sure(0, 9)], [...sure(1), ...sure(2)], []]
    const loss = (gap: number): number => gap + Math.log(1 + 2 * Math.exp(-gap))
    const right = Math.log(1 + 2 * Math.exp(-2))
    const expected = [
      { index: 1, label: 'O B-person', predicted: 'O O', loss: expect.closeTo((right + loss(9)) / 2, 6) as number },
      { index: 2, label: 'B-person O', predicted: 'B-person I-person', loss: expect.closeTo((right + loss(2)) / 2, 6) as number },
    ]
    expect(worst(tokenClassification, examples, names, answers)).toEqual(expected)
    expect(worst(tokenClassification, examples, names, answers, 1)).toEqual(expected.slice(0, 1))
  })

  it('of a search are the pairs whose first text is nearer to another second text, with its row', () => {
    const examples = [3, 7, 8].map((row): Example => ({ text: `a ${row}`, textPair: `b ${row}`, label: NaN, row }))
    const answers = [pairOf(0, 80), pairOf(90, 10), pairOf(200, 200)]
    const errors = worst(pairs, examples, null, answers)
    expect(errors.map(({ index, label, predicted }) => [index, label, predicted]).toSorted()).toEqual([
      [0, 'text of row 3', 'text of row 7'],
      [1, 'text of row 7', 'text of row 3'],
    ])
    expect(errors[0]?.loss).toBeGreaterThanOrEqual(errors[1]?.loss ?? Infinity)
  })

  it('of classes say whether the label is probably wrong: whether another class is as probable as it is on the average of its rows', () => {
    // The probability of its label is on the average of each class (0.9 + 0.8 + 0.7 + 0.2) / 4 = 0.65, (0.9 + 0.9 + 0.4 + 0.2) / 4 = 0.6 and
    // (0.7 + 0.4 + 0.42 + 0.08) / 4 = 0.4.
    const rows: readonly (readonly [label: number, shares: readonly number[], why: string])[] = [
      [0, [0.9, 0.1, 0], 'right'],
      [0, [0.8, 0.1, 0.1], 'right'],
      [0, [0.7, 0.2, 0.1], 'right'],
      [0, [0.2, 0.7, 0.1], 'issue: 0.7 of class 1 is more than 0.6'],
      [1, [0.05, 0.9, 0.05], 'right'],
      [1, [0.1, 0.9, 0], 'right'],
      [1, [0.45, 0.4, 0.15], 'wrong: no class reaches its average'],
      [1, [0.2, 0.2, 0.6], 'issue: 0.6 of class 2 is more than 0.4'],
      [2, [0.2, 0.1, 0.7], 'right'],
      [2, [0, 0.6, 0.4], 'issue: both reach it, and class 1 is more probable'],
      [2, [0.5, 0.08, 0.42], 'wrong: only its label reaches it'],
      [2, [0.02, 0.9, 0.08], 'issue: 0.9 of class 1 is more than 0.6'],
    ]
    const examples = rows.map(([label], i): Example => ({ text: 'x', label, row: i + 2 }))
    const errors = worst(
      singleLabel,
      examples,
      ['a', 'b', 'c'],
      rows.map(([, shares]) => shares.map(Math.log)),
    )
    const expected = rows.flatMap(([, , why], index) => (why === 'right' ? [] : [[index, why.startsWith('issue')]]))
    expect(errors.map(({ index, labelIssue }) => [index, labelIssue]).toSorted(([a], [b]) => Number(a) - Number(b))).toEqual(expected)
  })

  it('of scored pairs have the cosine in the units of the scores', () => {
    const examples = [4, 2, 0].map((label, i): Example => ({ text: 'a', textPair: 'b', label, row: i + 1 }))
    expect(worst(similarity, examples, null, [pairOf(0, 60), pairOf(0, 60), pairOf(0, 0)])).toEqual([
      { index: 2, label: '0', predicted: '4', loss: 4 },
      { index: 0, label: '4', predicted: '2', loss: expect.closeTo(2, 9) as number },
      { index: 1, label: '2', predicted: '2', loss: expect.closeTo(0, 9) as number },
    ])
  })
})

const error = (index: number) => ({ index, label: 'a', predicted: 'b', loss: 1 })
const details = (examples: readonly Example[], ...indices: readonly number[]) =>
  detailsFrom(
    { report: () => ({ byClass: null, confusion: null }) as EvaluationReport, worstErrors: () => indices.map(error) },
    examples,
  )([])
const example = (row: number, text: string, textPair?: string): Example => ({
  text,
  ...(textPair === undefined ? {} : { textPair }),
  label: 0,
  row,
})

it('an error has the row and the texts of its example', () => {
  const examples = [example(4, 'first'), example(9, 'second', 'pair')]
  expect(details(examples, 1, 0)?.errors).toEqual([
    { row: 9, label: 'a', predicted: 'b', loss: 1, text: 'second', textPair: 'pair' },
    { row: 4, label: 'a', predicted: 'b', loss: 1, text: 'first' },
  ])
  expect(details(examples)).toBe(null)
})

it('a text of 300 characters is whole, and a longer one is cut to 300 with an ellipsis', () => {
  const [whole, long] = ['x'.repeat(textLimit), 'y'.repeat(textLimit + 1)]
  expect(details([example(1, whole, long)], 0)?.errors).toMatchObject([{ text: whole, textPair: `${'y'.repeat(299)}…` }])
})

it('an error of tagged words has the places of those that are whole in its text', () => {
  const words = [0, 10, 11, 298, 299, 305]
  const [short, long] = [298, 305].map((length) => ({
    ...example(1, 'x'.repeat(length)),
    words: Int32Array.from(words.slice(0, length === 298 ? 4 : 6)),
  }))
  expect(details([short ?? example(0, ''), long ?? example(0, '')], 0, 1)?.errors.map((one) => one.words)).toEqual([
    words.slice(0, 4),
    words.slice(0, 4),
  ])
})

it('of too many examples no text is remembered, and an error has the number of its example', () => {
  const many = Array.from({ length: 50_001 }, (_, i) => example(i + 10, 'text'))
  expect(details(many, 3)?.errors).toEqual([{ row: 3, label: 'a', predicted: 'b', loss: 1 }])
  expect(details(many.slice(1), 3)?.errors).toMatchObject([{ row: 14, text: 'text' }])
})
