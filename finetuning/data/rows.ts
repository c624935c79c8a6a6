/** Rows of a user's file in any format: the requested columns of one row after another, so that no file is in memory twice. */
import { type InputError, inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { checkColumns, findColumn } from './columns.js'
import type { RequestedColumn } from './table.js'
import { atRow } from './dataset.js'
import { exactJson } from '../../accelerated/storage/json.js'

/** The text of a requested column in one row; null for JSON's and Parquet's null. */
export type Cell = string | null

/** Receives each row in the order of the file, its cells in the order of the requested columns. Reading ends if it throws. */
export type TakeRow = (row: number, cells: readonly Cell[]) => void

/** Where a file is: on the disk, unless a storage is given. */
export type Placed = {
  readonly storage?: Storage
  /** told the share of the rows of a file that have been divided into those to train on and those held out */
  readonly onSplit?: (share: number) => void
}

export type RowFormat = Placed & {
  /** separates cells */
  readonly delimiter?: string
  /** whether cells may be quoted */
  readonly quote?: boolean
  /** the encoding of the text; UTF-8 by default */
  readonly encoding?: string
  /** receives a line for what differs from the request, such as a column in other case */
  readonly note?: (line: string) => void
  /** receives each row with all of its columns, before its cells are taken */
  readonly whole?: (row: WholeRow) => void
  /** receives the names of a row's values that are not null, before the row */
  readonly keys?: (names: readonly string[]) => void
}

/** All columns of a row, in the order of the file. A table may have several of one name. delimiter: of its cells */
export type WholeRow = { readonly names: readonly string[]; readonly values: readonly unknown[]; readonly delimiter?: string }

export const toWholeRow = (object: Readonly<Record<string, unknown>>): WholeRow => ({
  names: Object.keys(object),
  values: Object.values(object),
})

/** Reads all rows of `file`. @throws InputError for the first thing wrong in it */
export type ReadRows = (file: string, requested: readonly RequestedColumn[], format: RowFormat, take: TakeRow) => Promise<void>

/** Bytes of a row. No model reads a thousandth of them, and a JavaScript string cannot hold four times as many. */
export const longestRow = 2 ** 27

export const rowTooLong = (file: string, row: number, bytes: number): InputError =>
  inputError(atRow(file, row), `at most ${longestRow} bytes in a row`, `${bytes}`)

/** A JSON or Parquet value as text. Numbers and booleans are as in JSON, so that 1.0 is `1`. @throws InputError for lists, objects, dates and infinity */
export const toCell = (where: string, { name, list, json, soft }: RequestedColumn, value: unknown): Cell => {
  if (value === null || value === undefined) return null
  if (json === true) return exactJson(value)
  if (typeof value === 'string') return value
  // 1e400 of JSON: two such numbers would be one label
  if (value === Infinity || value === -Infinity) throw inputError(where, `a number below 1.8e308 in column ${quoted(name)}`, String(value))
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (list !== undefined && Array.isArray(value) && value.every((part) => typeof part === 'string' && !part.includes(list)))
    return value.join(list)
  if (soft === true && isObject(value) && !(value instanceof Date)) return exactJson(value)
  const kind = Array.isArray(value) ? 'a list' : value instanceof Date ? 'a date' : 'an object'
  throw inputError(where, `a text or a number in column ${quoted(name)}`, kind)
}

/** The requested values of an object. @throws InputError if one is missing */
export const toCells = (
  where: string,
  requested: readonly RequestedColumn[],
  object: Readonly<Record<string, unknown>>,
): readonly Cell[] => {
  const isComplete = requested.every(({ name, optional }) => optional === true || Object.hasOwn(object, name))
  if (isComplete) return requested.map((column) => toCell(where, column, Object.hasOwn(object, column.name) ? object[column.name] : null))
  const names = Object.keys(object)
  checkColumns(where, names, requested)
  return requested.map((column) => {
    const name = findColumn(names, column.name)
    return toCell(where, column, name === undefined ? null : object[name])
  })
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
