/** Guesses from the first rows of a file which column holds texts, and which one labels. */
import { InputError } from '../../accelerated/errors/inputError.js'
import { findColumn, matchColumns, type ByOption } from './columns.js'
import { decimal } from './dataset.js'
import type { ReadRows, RowFormat, WholeRow } from './rows.js'
import type { RequestedColumn } from './table.js'

/** The rows that are looked at. */
const sampledRows = 500
/** Labels are short, and each occurs twice or more on the average. */
const [longestLabel, mostLabels] = [50, 50]

type Content = { readonly name: string; readonly texts: readonly string[]; readonly distinct: number }

/** The text is in the column with the longest values that differ; the label in the last one with few short values, of texts rather than numbers. */
export const guessColumns = (rows: readonly WholeRow[]): ByOption => {
  const columns = (rows[0]?.names ?? []).map((name, column): Content => {
    const cells = rows.map(({ names, values }) => values[names[column] === name ? column : names.indexOf(name)])
    const texts = cells.map((cell) => (typeof cell === 'object' ? '' : String(cell ?? '').trim())).filter((cell) => cell !== '')
    return { name, texts, distinct: new Set(texts).size }
  })
  if (columns.some(({ name, texts }) => texts.includes(name))) return {} // the first row is no header
  const labels = columns.filter(
    ({ texts, distinct }) =>
      distinct >= 2 && distinct <= Math.min(mostLabels, texts.length / 2) && texts.every(({ length }) => length <= longestLabel),
  )
  const isNumeric = ({ texts }: Content): boolean => texts.every((text) => decimal(text) !== null)
  const label = labels.findLast((column) => !isNumeric(column)) ?? labels.at(-1)
  const meanLength = ({ texts }: Content): number => texts.reduce((sum, { length }) => sum + length, 0) / texts.length
  const [text] = columns
    .filter(({ texts, distinct }) => 2 * distinct > texts.length && texts.some((one) => one.includes(' ')))
    .sort((a, b) => meanLength(b) - meanLength(a))
  return { text: text?.name, label: label?.name }
}

/** The first rows of a file; none of one that cannot be read. */
const readFirstRows = async (file: string, read: ReadRows, format: RowFormat): Promise<readonly WholeRow[]> => {
  const rows: WholeRow[] = []
  const enough = new Error('enough rows')
  const whole = (row: WholeRow): void => {
    rows.push(row)
    if (rows.length === sampledRows) throw enough
  }
  await read(file, [], { ...format, whole, note: () => undefined }, () => undefined).catch((thrown: unknown) => {
    if (thrown !== enough && !(thrown instanceof InputError)) throw thrown
  })
  return rows
}

/** The columns of a text and of a label in a file whose first row lacks a requested one; none in a file that cannot be read. */
export const columnsByContent = async (
  file: string,
  requested: readonly RequestedColumn[],
  read: ReadRows,
  format: RowFormat,
): Promise<ByOption> => {
  const rows = await readFirstRows(file, read, format)
  const names = rows[0]?.names ?? []
  return requested.every(({ name, optional }) => optional === true || findColumn(names, name) !== undefined) ? {} : guessColumns(rows)
}

/** The columns of a file, and those that probably hold the text and the label; undefined where none does. */
export type ProposedColumns = {
  readonly names: readonly string[]
  readonly text: string | undefined
  readonly label: string | undefined
}

/** By their names (`text`, `review`, …), or else by their content. A file that cannot be read has no columns. */
export const proposeColumns = async (file: string, read: ReadRows, format: RowFormat): Promise<ProposedColumns> => {
  const rows = await readFirstRows(file, read, format)
  const names = rows[0]?.names ?? []
  const usual = ['text', 'label'].map((name) => ({ name, option: name }))
  const likely = matchColumns(names, usual, guessColumns(rows))
  return { names, text: findColumn(names, 'text') ?? likely['text'], label: findColumn(names, 'label') ?? likely['label'] }
}
