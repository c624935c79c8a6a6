/** The output of predict: a JSON object per line, one JSON array, or CSV with the text beside each prediction. */
import { columnNamed } from '../../finetuning/data/columns.js'
import { decimal } from '../../finetuning/data/dataset.js'
import { exactJson } from '../../finetuning/data/exactJson.js'
import type { TextColumns } from '../../finetuning/data/index.js'
import type { WholeRow } from '../../finetuning/data/rows.js'
import type { Prediction, PredictionFormat } from '../../finetuning/tasks/taskType.js'
import type { Text } from '../../finetuning/adapters/trainedAdapter.js'

export const outputFormats = ['jsonl', 'csv'] as const
export type OutputFormat = (typeof outputFormats)[number] | 'json'

/** The prediction for one text, or an error. */
export type Answer = Prediction | { readonly error: string }

export type AnswerOutput = {
  /** @param text null where the line has none @param row all columns of the input, where it has columns */
  readonly write: (text: Text | null, answer: Answer, row?: WholeRow) => void
  /** Closes the document. */
  readonly end: () => void
}

/** What the task type predicts: its columns in a CSV file, and the classes that have a score each there. */
export type AnswerColumns = Pick<PredictionFormat, 'columns'> & { readonly classes: ReadonlyArray<string> }

export type OutputChoices = {
  /** in CSV, an apostrophe goes before a text that a spreadsheet would run as a formula */
  readonly escapeFormulas?: boolean
}

/** The other columns of the input are kept: all in CSV, all but the texts in JSON. One that has the name of an answer's becomes `input_NAME`. */
export const openOutput = (
  format: OutputFormat,
  columns: TextColumns,
  predictions: AnswerColumns,
  put: (text: string) => void,
  { escapeFormulas = false }: OutputChoices = {},
): AnswerOutput => {
  if (format === 'csv') return csvOutput(columns, predictions, put, escapeFormulas ? withoutFormula : (text) => text)
  const jsonOf = (answer: Answer, row: WholeRow = {}): string => {
    const json = 'error' in answer ? answer : answer.json
    return exactJson({ ...keptOf(row, columns, Object.keys(json)), ...json })
  }
  if (format === 'jsonl') return { write: (_, answer, row) => put(`${jsonOf(answer, row)}\n`), end: () => undefined }
  let written = 0
  return {
    write: (_, answer, row) => {
      put(`${written === 0 ? '[\n' : ',\n'}${jsonOf(answer, row)}`)
      written += 1
    },
    end: () => put(written === 0 ? '[]\n' : '\n]\n'),
  }
}

const inputName = (name: string, taken: ReadonlyArray<string>): string => (taken.includes(name) ? `input_${name}` : name)

/** The columns that hold no text. */
const keptOf = (row: WholeRow, { text = 'text', textPair }: TextColumns, taken: ReadonlyArray<string>): WholeRow => {
  const names = Object.keys(row)
  const texts = [text, ...(textPair === undefined ? [] : [textPair])].map((name) => columnNamed(names, name))
  return Object.fromEntries(names.filter((name) => !texts.includes(name)).map((name) => [inputName(name, taken), row[name]]))
}

const csvOutput = (
  { text = 'text', textPair }: TextColumns,
  { columns, classes }: AnswerColumns,
  put: (text: string) => void,
  safe: (text: string) => string,
): AnswerOutput => {
  const answers = [...columns, ...classes.map((name) => `score_${name}`)]
  const write = (cells: ReadonlyArray<string>): void => put(`${cells.map((text) => cell(safe(text))).join(',')}\n`)
  const textNames = [text, ...(textPair === undefined ? [] : [textPair])]
  let names: ReadonlyArray<string> | null = null
  const begin = (row: WholeRow | undefined): ReadonlyArray<string> => {
    if (names !== null) return names
    const ofInput = row === undefined ? textNames : Object.keys(row)
    write([...ofInput.map((name) => inputName(name, [...answers, 'error'])), ...answers, 'error'])
    names = ofInput
    return ofInput
  }
  const scoresOf = (answer: Prediction): ReadonlyArray<string> => {
    const { scores = {} } = answer.json as { readonly scores?: Readonly<Record<string, number>> }
    return classes.map((name) => String(scores[name] ?? ''))
  }
  return {
    write: (given, answer, row) => {
      const texts = { [text]: given?.text, ...(textPair === undefined ? {} : { [textPair]: given?.textPair }) }
      const input = begin(row).map((name) => shown((row ?? texts)[name]))
      write([...input, ...('error' in answer ? [...answers.map(() => ''), answer.error] : [...answer.cells, ...scoresOf(answer), ''])])
    },
    end: () => void begin(undefined),
  }
}

const shown = (value: unknown): string => {
  if (value === null || value === undefined) return ''
  return typeof value === 'object' ? exactJson(value) : String(value)
}

/** Spreadsheets run a cell that begins so as a formula, except a number. */
const withoutFormula = (text: string): string => (/^[=+\-@\t\r]/.test(text) && decimal(text) === null ? `'${text}` : text)

/** RFC 4180 */
const cell = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
