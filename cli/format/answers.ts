/** The output of predict: a JSON object per line, one JSON array, or CSV with the text beside each prediction. */
import { findColumn } from '../../finetuning/data/columns.js'
import { decimal } from '../../finetuning/data/dataset.js'
import { exactJson } from '../../accelerated/storage/json.js'
import type { TextColumns } from '../../finetuning/data/index.js'
import type { WholeRow } from '../../finetuning/data/rows.js'
import type { Prediction, PredictionFormat } from '../../finetuning/tasks/taskType.js'
import type { Text } from '../../finetuning/use/openModel.js'

export const outputFormats = ['jsonl', 'csv'] as const
export type OutputFormat = (typeof outputFormats)[number] | 'json'

/** The prediction for one text, or an error. */
export type Answer = Prediction | { readonly error: string }

export type AnswerOutput = {
  /** @param text null where the line has none @param row all columns of the input, where it has columns */
  readonly write: (text: Text | null, answer: Answer, row?: WholeRow) => void
  /** Closes the document. @returns the columns of later rows that the header of a CSV lacks */
  readonly end: () => readonly string[]
}

/** What the task type predicts: its columns in a CSV file, and the classes that have a score each there. */
export type AnswerColumns = Pick<PredictionFormat, 'columns'> & { readonly classes: readonly string[] }

export type OutputChoices = {
  /** the input has columns; a CSV waits for the first row that has a text */
  readonly isNamed?: boolean
  /** in CSV, an apostrophe goes before a text that a spreadsheet would run as a formula */
  readonly escapeFormulas?: boolean
  /** JSON has the texts too, so that it is a file of data */
  readonly keepTexts?: boolean
}

/** The other columns of the input are kept: all in CSV, all but the texts in JSON, unless they are asked for. */
export const openOutput = (
  format: OutputFormat,
  columns: TextColumns,
  predictions: AnswerColumns,
  put: (text: string) => void,
  { escapeFormulas = false, isNamed = false, keepTexts = false }: OutputChoices = {},
): AnswerOutput => {
  if (format === 'csv') return csvOutput(columns, predictions, put, { safe: escapeFormulas ? withoutFormula : (text) => text, isNamed })
  const formatJson = (given: Text | null, answer: Answer, row = keepTexts ? toRow(given, columns) : noRow): string => {
    const json = 'error' in answer ? answer : answer.json
    return exactJson({ ...selectColumns(row, keepTexts ? [] : toTextNames(columns), Object.keys(json)), ...json })
  }
  if (format === 'jsonl') return { write: (given, answer, row) => put(`${formatJson(given, answer, row)}\n`), end: () => [] }
  let written = 0
  return {
    write: (given, answer, row) => {
      put(`${written === 0 ? '[\n' : ',\n'}${formatJson(given, answer, row)}`)
      written += 1
    },
    end: () => {
      put(written === 0 ? '[]\n' : '\n]\n')
      return []
    },
  }
}

const noRow: WholeRow = { names: [], values: [] }

const toTextNames = ({ text = 'text', textPair }: TextColumns): readonly string[] => [text, ...(textPair === undefined ? [] : [textPair])]

/** A row of lines, which have no columns. */
const toRow = (given: Text | null, { text = 'text', textPair = 'text_pair' }: TextColumns): WholeRow =>
  given?.textPair === undefined
    ? { names: [text], values: [given?.text] }
    : { names: [text, textPair], values: [given.text, given.textPair] }

/** The names of an input's columns in the output. That of an answer becomes `input_NAME`, and one that occurs again `NAME_2`. */
const namesInOutput = (names: readonly string[], answers: readonly string[]): readonly string[] => {
  const [used, taken] = [new Set(answers), new Set([...names, ...answers])]
  const counts = new Map<string, number>()
  return names.map((name) => {
    const base = answers.includes(name) ? `input_${name}` : name
    let free = base
    let count = counts.get(base) ?? 1
    if (used.has(name)) while (taken.has(free)) free = `${base}_${++count}`
    counts.set(base, count)
    used.add(name)
    taken.add(free)
    return free
  })
}

const selectColumns = ({ names, values }: WholeRow, others: readonly string[], answers: readonly string[]) => {
  const texts = others.map((name) => findColumn(names, name))
  const kept = namesInOutput(names, answers).map((name, i) => [name, values[i]] as const)
  return Object.fromEntries(kept.filter((_, i) => !texts.includes(names[i])))
}

/** Rows without a text before a CSV has its header, at most: they wait in memory. */
const longestWait = 1_000

/** Names of columns that come too late, at most. */
const mostNames = 100

const csvOutput = (
  textColumns: TextColumns,
  { columns, classes }: AnswerColumns,
  put: (text: string) => void,
  { safe, isNamed }: { readonly safe: (text: string) => string; readonly isNamed: boolean },
): AnswerOutput => {
  const answers = [...columns, ...classes.map((name) => `score_${name}`)]
  let delimiter = ','
  const write = (cells: readonly string[]): void => put(`${cells.map((text) => cell(safe(text), delimiter)).join(delimiter)}\n`)
  const textNames = toTextNames(textColumns)
  const known = new Set<string>() // the columns of the header
  const late = new Set<string>()
  const waiting: (readonly [Answer, WholeRow])[] = []
  let header: readonly string[] | null = null
  const formatScores = (answer: Prediction): readonly string[] => {
    const { scores = {} } = answer.json as { readonly scores?: Readonly<Record<string, number>> }
    return classes.map((name) => String(scores[name] ?? ''))
  }
  const inOrder = (names: readonly string[], row: WholeRow): readonly unknown[] => {
    if (row.names === names) return row.values
    for (const name of row.names) if (!known.has(name) && late.size < mostNames) late.add(name)
    const values = new Map(row.names.map((name, i) => [name, row.values[i]]))
    return names.map((name) => values.get(name))
  }
  const writeRow = (names: readonly string[], answer: Answer, row: WholeRow): void => {
    const values = inOrder(names, row)
    const input = names.map((_, i) => formatCell(values[i]))
    write([...input, ...('error' in answer ? [...answers.map(() => ''), answer.error] : [...answer.cells, ...formatScores(answer), ''])])
  }
  const begin = (names: readonly string[], given = ','): readonly string[] => {
    header = names
    if (given !== '\t') delimiter = given // a spreadsheet that wrote semicolons reads them
    for (const name of names) known.add(name)
    write([...namesInOutput(names, [...answers, 'error']), ...answers, 'error'])
    for (const [answer, row] of waiting.splice(0)) writeRow(names, answer, row)
    return names
  }
  return {
    write: (given, answer, row = isNamed ? noRow : { names: textNames, values: [given?.text, given?.textPair] }) => {
      if (header === null && isNamed && waiting.length < longestWait && findColumn(row.names, textNames[0] ?? '') === undefined)
        waiting.push([answer, row])
      else writeRow(header ?? begin(row.names, row.delimiter), answer, row)
    },
    end: () => {
      if (header === null) begin(textNames)
      return [...late]
    },
  }
}

const formatCell = (value: unknown): string => {
  if (value === null || value === undefined) return ''
  return typeof value === 'object' ? exactJson(value) : String(value)
}

/** Spreadsheets run a cell that begins so as a formula, except a number. */
const withoutFormula = (text: string): string => (/^[=+\-@\t\r]/.test(text) && decimal(text) === null ? `'${text}` : text)

/** RFC 4180 */
const cell = (text: string, delimiter: string): string =>
  /["\r\n]/.test(text) || text.includes(delimiter) ? `"${text.replaceAll('"', '""')}"` : text
