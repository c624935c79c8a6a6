/** A table: the requested columns of records of cells. A malformed record is an error or, if the caller says so, is skipped and listed. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option, words, type Words } from '../../accelerated/errors/words.js'
import { type SkippedRow, atRow } from './dataset.js'

/** One line of cells. `cell(i)` decodes cell i when it is called. */
export type CellRecord = { readonly row: number; readonly width: number; readonly cell: (column: number) => string }

/** A column by its name in the header, and the option that names it, if there is one. */
export type RequestedColumn = {
  readonly name: string
  readonly option?: string
  /** separates the texts of a list, where the column may hold one; JSON has its own lists */
  readonly list?: string
  /** the column may be missing from a file or a row */
  readonly optional?: true
  /** any value is taken as its JSON text */
  readonly json?: true
  /** an object is taken as its JSON text */
  readonly soft?: true
  /** the numbers of a column whose classes its file names are read as these names */
  readonly named?: true
}

export type TableRow = { readonly row: number; readonly cells: readonly string[] }
export type Table = { readonly rows: readonly TableRow[]; readonly skipped: readonly SkippedRow[] }

export type RaggedRows = 'refuse' | 'skip'

/** `a column "review" (--text)`. */
export const columnExpected = ({ name, option: named }: RequestedColumn): Words =>
  words`a column ${quoted(name)}${named === undefined ? '' : words` (${option(named)})`}`

const MOST_COLUMNS = 12

/** `the columns "a", "b"`, or `no columns` */
export const describeColumns = (names: readonly string[]): string => {
  const more = names.length > MOST_COLUMNS ? ` and ${names.length - MOST_COLUMNS} more` : ''
  const first = names.slice(0, MOST_COLUMNS).map((name) => quoted(name))
  return names.length === 0 ? 'no columns' : `the columns ${first.join(', ')}${more}`
}

/** The requested columns of records without header. @param places column numbers from 0 @param width the number of columns @throws InputError */
export const pickPlaces =
  (file: string, width: number, places: readonly number[], ragged: RaggedRows) =>
  (records: Iterable<CellRecord>): Table => {
    const rows: TableRow[] = []
    const skipped: SkippedRow[] = []
    for (const record of records) {
      if (record.width === width) rows.push({ row: record.row, cells: places.map(record.cell) })
      else if (ragged === 'skip') skipped.push({ row: record.row, reason: columnCount(record.width) })
      else throw inputError(atRow(file, record.row), columnCount(width), columnCount(record.width))
    }
    if (rows.length === 0) throw inputError(file, 'at least one row of data', 'none')
    return { rows, skipped }
  }

/** The requested columns of records whose first is the header. @throws InputError */
export const pickByName =
  (file: string, requested: readonly RequestedColumn[], ragged: RaggedRows) =>
  (records: Iterable<CellRecord>): Table => {
    const iterator = records[Symbol.iterator]()
    const first = iterator.next()
    if (first.done === true) throw inputError(file, 'a header', 'an empty file')
    const header = Array.from({ length: first.value.width }, (_, column) => first.value.cell(column).trim())
    const places = requested.map(placeIn(file, header))
    return pickPlaces(file, header.length, places, ragged)({ [Symbol.iterator]: () => iterator })
  }

const placeIn =
  (file: string, header: readonly string[]) =>
  (requested: RequestedColumn): number => {
    const place = header.indexOf(requested.name)
    if (place === -1) throw inputError(atRow(file, 1), columnExpected(requested), describeColumns(header))
    if (place !== header.lastIndexOf(requested.name))
      throw inputError(atRow(file, 1), `one column ${quoted(requested.name)}`, 'more than one of that name')
    return place
  }

export const columnCount = (width: number): string => (width === 1 ? '1 column' : `${width} columns`)
