/** Reads multiple choice: one example a row, whose text holds the question and its answers, and whose label is the right one's index. */
import { inputError } from '../../../accelerated/errors/inputError.js'
import { choiceColumns, choiceOf, type ChoiceRow } from './rows.js'
import { exampleStore } from '../../data/compactExamples.js'
import type { Dataset, Example } from '../../data/dataset.js'
import { atRow } from '../../data/errorText.js'
import { objectReaderOf } from '../../data/formats.js'
import type { Cell } from '../../data/rows.js'

export type ChoiceText = Pick<ChoiceRow, 'question' | 'choices'>

/** The text that an example stores as JSON. */
export const choiceText = (json: string): ChoiceText => JSON.parse(json) as ChoiceText

/** @throws InputError for the first thing wrong in the file */
export const readChoices = async (file: string, { encoding }: { readonly encoding?: string } = {}): Promise<Dataset> => {
  const read = objectReaderOf(file, 'questions with choices', encoding)
  const store = exampleStore()
  const examples: Example[] = []
  await read(choiceColumns, (row: number, cells: ReadonlyArray<Cell>) => {
    const { question, choices, right } = choiceOf(cells, atRow(file, row))
    examples.push(store({ text: JSON.stringify({ question, choices } satisfies ChoiceText), label: right, row }))
  })
  if (examples.length === 0) throw inputError(file, 'at least one question with choices', 'none')
  return { source: file, examples, labelNames: null, skipped: [] }
}
