/** The worst errors of tagged sentences and of pairs, from made-up answers. */
import { describe, expect, it } from 'vitest'
import type { Example } from '../../../finetuning/data/dataset.js'
import { detailsFrom, textLimit } from '../../../finetuning/run/evaluationDetails.js'
import { pairs, similarity } from '../../../finetuning/tasks/embeddings/index.js'
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
    const examples = [3, 7, 8].map((row): Example => ({ text: 'a', textPair: 'b', label: NaN, row }))
    const answers = [pairOf(0, 80), pairOf(90, 10), pairOf(200, 200)]
    const errors = worst(pairs, examples, null, answers)
    expect(errors.map(({ index, label, predicted }) => [index, label, predicted]).toSorted()).toEqual([
      [0, 'text of row 3', 'text of row 7'],
      [1, 'text of row 7', 'text of row 3'],
    ])
    expect(errors[0]?.loss).toBeGreaterThanOrEqual(errors[1]?.loss ?? Infinity)
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

it('of too many examples no text is remembered, and an error has the number of its example', () => {
  const many = Array.from({ length: 50_001 }, (_, i) => example(i + 10, 'text'))
  expect(details(many, 3)?.errors).toEqual([{ row: 3, label: 'a', predicted: 'b', loss: 1 }])
  expect(details(many.slice(1), 3)?.errors).toMatchObject([{ row: 14, text: 'text' }])
})
