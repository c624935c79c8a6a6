/** A table: the columns asked for, picked out of records of cells. Ill-formed records are refused or, by the caller's choice, skipped and listed. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import type { SkippedRow } from './dataset.js'
import { columnsFound, quoted, type Problem } from './problem.js'

/** One line of cells; `cell(i)` is decoded when asked for. */
export type CellRecord = { readonly row: number; readonly width: number; readonly cell: (column: number) => string }

/** A column by its name in the header, and the flag that names it, if there is one. */
export type WantedColumn = { readonly name: string; readonly flag?: string }

export type TableRow = { readonly row: number; readonly cells: ReadonlyArray<string> }
export type Table = { readonly rows: ReadonlyArray<TableRow>; readonly skipped: ReadonlyArray<SkippedRow> }

export type RaggedRows = 'refuse' | 'skip'

/** `a column "review" (--text)`. */
export const columnExpected = ({ name, flag }: WantedColumn): string => `a column ${quoted(name)}${flag === undefined ? '' : ` (${flag})`}`

/** The wanted columns of records without header: `places` are column numbers from 0, of `width` in all. */
export const pickPlaces =
  (file: string, width: number, places: ReadonlyArray<number>, ragged: RaggedRows) =>
  (records: Iterable<CellRecord>): E.Either<Problem, Table> => {
    const rows: TableRow[] = []
    const skipped: SkippedRow[] = []
    for (const record of records) {
      if (record.width === width) rows.push({ row: record.row, cells: places.map(record.cell) })
      else if (ragged === 'skip') skipped.push({ row: record.row, found: columnCount(record.width) })
      else return E.left({ where: file, row: record.row, expected: columnCount(width), found: columnCount(record.width) })
    }
    return rows.length > 0 ? E.right({ rows, skipped }) : E.left({ where: file, expected: 'at least one row of data', found: 'none' })
  }

/** The wanted columns of records whose first is the header. */
export const pickNamed =
  (file: string, wanted: ReadonlyArray<WantedColumn>, ragged: RaggedRows) =>
  (records: Iterable<CellRecord>): E.Either<Problem, Table> => {
    const iterator = records[Symbol.iterator]()
    const first = iterator.next()
    if (first.done === true) return E.left({ where: file, expected: 'a header', found: 'an empty file' })
    const header = Array.from({ length: first.value.width }, (_, column) => first.value.cell(column).trim())
    return pipe(
      wanted,
      E.traverseArray(placeIn(file, header)),
      E.chain((places) => pickPlaces(file, header.length, places, ragged)({ [Symbol.iterator]: () => iterator })),
    )
  }

const placeIn =
  (file: string, header: ReadonlyArray<string>) =>
  (wanted: WantedColumn): E.Either<Problem, number> => {
    const place = header.indexOf(wanted.name)
    if (place === -1) return E.left({ where: file, row: 1, expected: columnExpected(wanted), found: columnsFound(header) })
    return place === header.lastIndexOf(wanted.name)
      ? E.right(place)
      : E.left({ where: file, row: 1, expected: `one column ${quoted(wanted.name)}`, found: 'more than one of that name' })
  }

const columnCount = (width: number): string => (width === 1 ? '1 column' : `${width} columns`)
