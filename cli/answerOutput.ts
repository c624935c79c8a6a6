/** Answers as they are written: one JSON object a line, one JSON array, or CSV with the text beside each. An array is closed however the work ends. */
import type { TextColumns } from '../evaluation/data/index.js'
import type { TextLine } from './textLines.js'

export const outputFormats = ['jsonl', 'csv'] as const
export type OutputFormat = (typeof outputFormats)[number] | 'json'

/** One answer: to a class, to a regression, or why there is none. */
export type Answer =
  | { readonly label: string; readonly score: number; readonly scores: Readonly<Record<string, number>> }
  | { readonly value: number }
  | { readonly error: string }

export type AnswerOutput = {
  readonly write: (line: TextLine, answer: Answer) => void
  /** ends the document; nothing may be written after it */
  readonly end: () => void
}

/** `regression` decides CSV's columns. */
export const openOutput = (format: OutputFormat, columns: TextColumns, regression: boolean, put: (text: string) => void): AnswerOutput => {
  if (format === 'csv') return csvOutput(columns, regression, put)
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

const csvOutput = ({ text = 'text', textPair }: TextColumns, regression: boolean, put: (text: string) => void): AnswerOutput => {
  const row = (cells: ReadonlyArray<string>): void => put(`${cells.map(cell).join(',')}\n`)
  row([text, ...(textPair === undefined ? [] : [textPair]), ...(regression ? ['value'] : ['label', 'score']), 'error'])
  return {
    write: (line, answer) => {
      const given = 'given' in line ? line.given : { text: '' }
      const found =
        'error' in answer
          ? [...(regression ? [''] : ['', '']), answer.error]
          : 'value' in answer
            ? [String(answer.value), '']
            : [answer.label, String(answer.score), '']
      row([given.text, ...(textPair === undefined ? [] : [given.textPair ?? '']), ...found])
    },
    end: () => undefined,
  }
}

/** RFC 4180 */
const cell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
