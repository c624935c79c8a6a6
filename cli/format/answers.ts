/** Answers as they are written: one JSON object a line, one JSON array, or CSV with the text beside each. An array is closed however the work ends. */
import type { TextColumns } from '../../finetuning/data/index.js'
import type { Prediction, PredictionFormat } from '../../finetuning/tasks/taskType.js'
import type { TextLine } from '../input/textLines.js'

export const outputFormats = ['jsonl', 'csv'] as const
export type OutputFormat = (typeof outputFormats)[number] | 'json'

/** The prediction for one text, or why there is none. */
export type Answer = Prediction | { readonly error: string }

export type AnswerOutput = {
  readonly write: (line: TextLine, answer: Answer) => void
  /** ends the document; nothing may be written after it */
  readonly end: () => void
}

export const openOutput = (
  format: OutputFormat,
  columns: TextColumns,
  predictions: PredictionFormat,
  put: (text: string) => void,
): AnswerOutput => {
  if (format === 'csv') return csvOutput(columns, predictions.columns, put)
  if (format === 'jsonl') return { write: (_, answer) => put(`${jsonOf(answer)}\n`), end: () => undefined }
  let written = 0
  return {
    write: (_, answer) => {
      put(`${written === 0 ? '[\n' : ',\n'}${jsonOf(answer)}`)
      written += 1
    },
    end: () => put(written === 0 ? '[]\n' : '\n]\n'),
  }
}

const csvOutput = ({ text = 'text', textPair }: TextColumns, answers: ReadonlyArray<string>, put: (text: string) => void): AnswerOutput => {
  const row = (cells: ReadonlyArray<string>): void => put(`${cells.map(cell).join(',')}\n`)
  row([text, ...(textPair === undefined ? [] : [textPair]), ...answers, 'error'])
  return {
    write: (line, answer) => {
      const given = 'given' in line ? line.given : { text: '' }
      const found = 'error' in answer ? [...answers.map(() => ''), answer.error] : [...answer.cells, '']
      row([given.text, ...(textPair === undefined ? [] : [given.textPair ?? '']), ...found])
    },
    end: () => undefined,
  }
}

const jsonOf = (answer: Answer): string => JSON.stringify('error' in answer ? answer : answer.json)

/** RFC 4180 */
const cell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
