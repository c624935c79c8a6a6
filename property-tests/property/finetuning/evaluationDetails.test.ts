/** The details of an evaluation: errors with their rows and the beginnings of their texts. */
import { expect, it } from 'vitest'
import type { Example } from '../../../finetuning/data/dataset.js'
import { detailsFrom, textLimit } from '../../../finetuning/runs/evaluationDetails.js'
import type { EvaluationReport } from '../../../finetuning/tasks/taskType.js'

const error = (index: number) => ({ index, label: 'a', predicted: 'b', loss: 1 })
const details = (examples: ReadonlyArray<Example>, ...indices: ReadonlyArray<number>) =>
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
