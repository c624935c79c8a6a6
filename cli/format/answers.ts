/** The output of predict: a JSON object per line, one JSON array, or CSV with the text beside each prediction. */
import type { TextColumns } from '../../finetuning/data/index.js'
import type { Prediction, PredictionFormat } from '../../finetuning/tasks/taskType.js'
import type { Text } from '../../finetuning/adapters/trainedAdapter.js'

export const outputFormats = ['jsonl', 'csv'] as const
export type OutputFormat = (typeof outputFormats)[number] | 'json'

/** The prediction for one text, or an error. */
export type Answer = Prediction | { readonly error: string }

export type AnswerOutput = {
  /** @param text null where the line has none */
  readonly write: (text: Text | null, answer: Answer) => void
  /** Closes the document. */
  readonly end: () => void
}

/** @param predictions of the task type: the columns of the CSV file */
export const openOutput = (
  format: OutputFormat,
  columns: TextColumns,
  predictions: Pick<PredictionFormat, 'columns'>,
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
    write: (given, answer) => {
      const texts = [given?.text ?? '', ...(textPair === undefined ? [] : [given?.textPair ?? ''])]
      row([...texts, ...('error' in answer ? [...answers.map(() => ''), answer.error] : [...answer.cells, ''])])
    },
    end: () => undefined,
  }
}

const jsonOf = (answer: Answer): string => JSON.stringify('error' in answer ? answer : answer.json)

/** RFC 4180 */
const cell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
