/** The output of predict: a JSON object per line, one JSON array, or CSV with the text beside each prediction. */
import { labelSeparator, type ClassificationType, type TextColumns } from '../../finetuning/data/index.js'
import type { Text } from '../../finetuning/adapters/trainedAdapter.js'

export const outputFormats = ['jsonl', 'csv'] as const
export type OutputFormat = (typeof outputFormats)[number] | 'json'

/** One prediction: a class, any number of classes, a value, or an error. */
export type Answer =
  | { readonly label: string; readonly score: number; readonly scores: Readonly<Record<string, number>> }
  | { readonly labels: ReadonlyArray<string>; readonly scores: Readonly<Record<string, number>> }
  | { readonly value: number }
  | { readonly error: string }

export type AnswerOutput = {
  /** @param text null where the line has none */
  readonly write: (text: Text | null, answer: Answer) => void
  /** Closes the document. */
  readonly end: () => void
}

/** Columns of the CSV file. */
const answerColumns: Readonly<Record<ClassificationType, ReadonlyArray<string>>> = {
  classification: ['label', 'score'],
  'multi-label': ['label'],
  regression: ['value'],
}

/** @param taskType decides the columns of the CSV file */
export const openOutput = (
  format: OutputFormat,
  columns: TextColumns,
  taskType: ClassificationType,
  put: (text: string) => void,
): AnswerOutput => {
  if (format === 'csv') return csvOutput(columns, answerColumns[taskType], put)
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
    write: (given, answer) => {
      const texts = [given?.text ?? '', ...(textPair === undefined ? [] : [given?.textPair ?? ''])]
      row([...texts, ...('error' in answer ? [...answers.map(() => ''), answer.error] : [...cellsOf(answer), ''])])
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
