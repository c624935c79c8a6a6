/** Answers as they are written: one JSON object a line, one JSON array, or CSV with the text beside each. An array is closed however the work ends. */
import { labelSeparator, type ClassificationType, type TextColumns } from '../../finetuning/data/index.js'
import type { TextLine } from '../input/textLines.js'

export const outputFormats = ['jsonl', 'csv'] as const
export type OutputFormat = (typeof outputFormats)[number] | 'json'

/** One answer: a class, any number of them, a score, or why there is none. */
export type Answer =
  | { readonly label: string; readonly score: number; readonly scores: Readonly<Record<string, number>> }
  | { readonly labels: ReadonlyArray<string>; readonly scores: Readonly<Record<string, number>> }
  | { readonly value: number }
  | { readonly error: string }

export type AnswerOutput = {
  readonly write: (line: TextLine, answer: Answer) => void
  /** ends the document; nothing may be written after it */
  readonly end: () => void
}

/** Columns of CSV. */
const answerColumns: Readonly<Record<ClassificationType, ReadonlyArray<string>>> = {
  classification: ['label', 'score'],
  'multi-label': ['label'],
  regression: ['value'],
}

/** `problem` decides CSV's columns. */
export const openOutput = (
  format: OutputFormat,
  columns: TextColumns,
  problem: ClassificationType,
  put: (text: string) => void,
): AnswerOutput => {
  if (format === 'csv') return csvOutput(columns, answerColumns[problem], put)
  if (format === 'jsonl') return { write: (_, answer) => put(`${JSON.stringify(answer)}\n`), end: () => undefined }
  let written = 0
  return {
    write: (_, answer) => {
      put(`${written === 0 ? '[\n' : ',\n'}${JSON.stringify(answer)}`)
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
      const found = 'error' in answer ? [...answers.map(() => ''), answer.error] : [...cellsOf(answer), '']
      row([given.text, ...(textPair === undefined ? [] : [given.textPair ?? '']), ...found])
    },
    end: () => undefined,
  }
}

const cellsOf = (answer: Exclude<Answer, { readonly error: string }>): ReadonlyArray<string> => {
  if ('value' in answer) return [String(answer.value)]
  return 'labels' in answer ? [answer.labels.join(labelSeparator)] : [answer.label, String(answer.score)]
}

/** RFC 4180 */
const cell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
