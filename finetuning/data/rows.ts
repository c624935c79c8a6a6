/** Rows of a file of the user's own, whatever its format: the wanted columns of each, one after another, so that no file is held in memory twice. */
import { constants } from 'node:buffer'
import { type InputError, inputError, quoted } from '../../accelerated/errors/inputError.js'
import { columnExpected, columnsFound, type WantedColumn } from './table.js'
import { atRow } from './errorText.js'

/** A wanted column's text in one row; null where the file has nothing there (JSON's and Parquet's null). */
export type Cell = string | null

/** Is given each row in the order of the file, with the wanted columns in theirs. @throws Mistake, which ends the reading */
export type TakeRow = (row: number, cells: ReadonlyArray<Cell>) => void

export type RowFormat = {
  /** what ends a cell, where that can be chosen */
  readonly delimiter?: string
  /** whether cells may be quoted, where that can be chosen */
  readonly quote?: boolean
}

/** Reads all rows of `file`. @throws Mistake for the first thing wrong with it */
export type ReadRows = (file: string, wanted: ReadonlyArray<WantedColumn>, format: RowFormat, take: TakeRow) => Promise<void>

/** Bytes of a row: no model reads a thousandth of them, and JavaScript has no text of four times as many. */
export const longestRow = Math.min(2 ** 27, constants.MAX_STRING_LENGTH)

export const rowTooLong = (file: string, row: number, bytes: number): InputError =>
  inputError(atRow(file, row), `at most ${longestRow} bytes in a row`, `${bytes}`)

/** A JSON or Parquet value as text: numbers and booleans as JSON writes them, so that 1.0 is `1`. @throws Mistake for lists, objects and dates */
export const cellOf = (where: string, { name, list, json }: WantedColumn, value: unknown): Cell => {
  if (value === null || value === undefined) return null
  if (json === true) return JSON.stringify(value)
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') return String(value)
  if (list !== undefined && Array.isArray(value) && value.every((part) => typeof part === 'string' && !part.includes(list)))
    return value.join(list)
  const kind = Array.isArray(value) ? 'a list' : value instanceof Date ? 'a date' : 'an object'
  throw inputError(where, `a text or a number in column ${quoted(name)}`, kind)
}

/** The wanted values of an object. @throws Mistake where it lacks one */
export const cellsOf = (
  where: string,
  wanted: ReadonlyArray<WantedColumn>,
  object: Readonly<Record<string, unknown>>,
): ReadonlyArray<Cell> =>
  wanted.map((column) => {
    if (!Object.hasOwn(object, column.name) && column.optional !== true)
      throw inputError(where, columnExpected(column), columnsFound(Object.keys(object)))
    return cellOf(where, column, object[column.name])
  })

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
