/** A table: the columns asked for, picked out of records of cells. Ill-formed records are refused or, by the caller's choice, skipped and listed. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { type InputError, inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { SkippedRow } from './dataset.js'
import { atRow } from './errorText.js'

/** One line of cells; `cell(i)` is decoded when asked for. */
export type CellRecord = { readonly row: number; readonly width: number; readonly cell: (column: number) => string }

/** A column by its name in the header, and the flag that names it, if there is one. */
export type WantedColumn = {
  readonly name: string
  readonly flag?: string
  /** what stands between the texts of a list, where one may be given: JSON has lists of its own */
  readonly list?: string
  /** whether a file, or a row of it, may be without */
  readonly optional?: true
  /** whether a value is taken as JSON writes it, whatever it is */
  readonly json?: true
}

export type TableRow = { readonly row: number; readonly cells: ReadonlyArray<string> }
export type Table = { readonly rows: ReadonlyArray<TableRow>; readonly skipped: ReadonlyArray<SkippedRow> }

export type RaggedRows = 'refuse' | 'skip'

/** `a column "review" (--text)`. */
export const columnExpected = ({ name, flag }: WantedColumn): string => `a column ${quoted(name)}${flag === undefined ? '' : ` (${flag})`}`

const MOST_COLUMNS = 12

/** `the columns "a", "b"`, or that there is none. */
export const columnsFound = (names: ReadonlyArray<string>): string => {
  const more = names.length > MOST_COLUMNS ? ` and ${names.length - MOST_COLUMNS} more` : ''
  const first = names.slice(0, MOST_COLUMNS).map((name) => quoted(name))
  return names.length === 0 ? 'no columns' : `the columns ${first.join(', ')}${more}`
}

/** The wanted columns of records without header: `places` are column numbers from 0, of `width` in all. */
export const pickPlaces =
  (file: string, width: number, places: ReadonlyArray<number>, ragged: RaggedRows) =>
  (records: Iterable<CellRecord>): E.Either<InputError, Table> => {
    const rows: TableRow[] = []
    const skipped: SkippedRow[] = []
    for (const record of records) {
      if (record.width === width) rows.push({ row: record.row, cells: places.map(record.cell) })
      else if (ragged === 'skip') skipped.push({ row: record.row, found: columnCount(record.width) })
      else return E.left(inputError(atRow(file, record.row), columnCount(width), columnCount(record.width)))
    }
    return rows.length > 0 ? E.right({ rows, skipped }) : E.left(inputError(file, 'at least one row of data', 'none'))
  }

/** The wanted columns of records whose first is the header. */
export const pickNamed =
  (file: string, wanted: ReadonlyArray<WantedColumn>, ragged: RaggedRows) =>
  (records: Iterable<CellRecord>): E.Either<InputError, Table> => {
    const iterator = records[Symbol.iterator]()
    const first = iterator.next()
    if (first.done === true) return E.left(inputError(file, 'a header', 'an empty file'))
    const header = Array.from({ length: first.value.width }, (_, column) => first.value.cell(column).trim())
    return pipe(
      wanted,
      E.traverseArray(placeIn(file, header)),
      E.chain((places) => pickPlaces(file, header.length, places, ragged)({ [Symbol.iterator]: () => iterator })),
    )
  }

/** As for pickNamed; `delimiter` is what cut the header. @throws Mistake */
export const placesIn = (
  file: string,
  header: ReadonlyArray<string>,
  wanted: ReadonlyArray<WantedColumn>,
  delimiter: string,
): ReadonlyArray<number> => {
  const places = pipe(wanted, E.traverseArray(placeIn(file, header)))
  if (E.isRight(places)) return places.right
  const other = header.length === 1 ? [',', ';', '\t', '|'].find((mark) => mark !== delimiter && header[0]?.includes(mark)) : undefined
  if (other === undefined) throw places.left
  const { where, expected, got } = places.left
  throw inputError(where, expected, `${got} (--delimiter ${other === '\t' ? 'tab' : `"${other}"`} would cut it)`)
}

const placeIn =
  (file: string, header: ReadonlyArray<string>) =>
  (wanted: WantedColumn): E.Either<InputError, number> => {
    const place = header.indexOf(wanted.name)
    if (place === -1) return E.left(inputError(atRow(file, 1), columnExpected(wanted), columnsFound(header)))
    return place === header.lastIndexOf(wanted.name)
      ? E.right(place)
      : E.left(inputError(atRow(file, 1), `one column ${quoted(wanted.name)}`, 'more than one of that name'))
  }

export const columnCount = (width: number): string => (width === 1 ? '1 column' : `${width} columns`)
