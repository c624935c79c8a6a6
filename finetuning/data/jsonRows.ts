/** Rows as JSON objects: one per line, or one list. Only the named columns are read. */
import { InputError, inputError, quoted, reason, formatValue } from '../../accelerated/errors/inputError.js'
import { eachLine, readText } from './lineStream.js'
import { renamedColumns } from './columns.js'
import { utf8 } from './encoding.js'
import { isLarge, mayHold, spelledJson, withDigits, type Kept } from '../../accelerated/storage/json.js'
import { toCells, isObject, type ReadRows, type RowFormat, toWholeRow } from './rows.js'
import type { RequestedColumn } from './table.js'
import { atRow } from './dataset.js'

type JsonObject = Readonly<Record<string, unknown>>

export const jsonLineRows: ReadRows = async (file, requested, format, take) => {
  const [noted, kept] = [notedOnce(file, requested, format), chooseKeptNumbers(requested)]
  let rows = 0
  await eachLine(
    file,
    (row, line) => {
      if (isBlank(line)) return
      rows++
      const where = atRow(file, row)
      const object = objectIn(line.toString('utf8'), where, kept)
      const cells = toCells(where, requested, object)
      noted(object)
      format.whole?.(toWholeRow(object))
      format.keys?.(listKeys(object))
      take(row, cells)
    },
    format.encoding ?? utf8,
    format.storage,
  )
  if (rows === 0) throw inputError(file, 'at least one row', 'blank lines alone')
}

const blanks = [0x20, 0x09]
/** Levels of a row: those who read it recursively need a bound, and the rows of the hub have ten at most. */
const rowLevels = 64

/** Whether a number within may have lost digits. @throws InputError for too many levels */
const hasLarge = (value: unknown, where: string, levels = rowLevels): boolean => {
  if (typeof value === 'number') return isLarge(value)
  if (typeof value !== 'object' || value === null) return false
  if (levels === 0) throw inputError(where, `at most ${rowLevels} levels of JSON`, 'more')
  let isFound = false
  for (const part of Object.values(value)) if (hasLarge(part, where, levels - 1)) isFound = true
  return isFound
}

const isBlank = (line: Buffer): boolean => line.every((byte) => blanks.includes(byte))

/** Reports the columns of the first object that have other names than the requested ones. */
const notedOnce = (file: string, requested: readonly RequestedColumn[], { note }: RowFormat) => {
  let isFirst = true
  return (object: JsonObject): void => {
    if (isFirst && note !== undefined) for (const line of renamedColumns(file, Object.keys(object), requested)) note(line)
    isFirst = false
  }
}

const listKeys = (object: JsonObject): readonly string[] => Object.keys(object).filter((name) => object[name] !== null)

/** Columns that are taken as JSON keep all numbers as they are written. */
const chooseKeptNumbers = (requested: readonly RequestedColumn[]): Kept =>
  requested.some(({ json }) => json === true) ? 'written' : 'large'

/** The object of a line; a whole number beyond 2^53 is a bigint. @throws InputError */
export const objectIn = (text: string, where: string, kept: Kept = 'large'): JsonObject => {
  const value = parsedOrNull(text)
  if (!isObject(value)) throw inputError(where, 'a JSON object', quoted(text))
  const isKept = hasLarge(value, where) || (kept === 'written' && mayHold(text, kept))
  return isKept ? (withDigits(value, spelledJson(text, kept)) as JsonObject) : value
}

const parsedOrNull = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** A row's number is its place in the list, from 1. */
export const jsonRows: ReadRows = async (file, requested, format, take) => {
  const text = await readText(file, format.encoding ?? utf8, format.storage)
  const [noted, kept] = [notedOnce(file, requested, format), chooseKeptNumbers(requested)]
  const list = parsed(text, file)
  if (!Array.isArray(list))
    throw inputError(
      file,
      "a list of objects (pandas: orient='records'; one a line is .jsonl)",
      isObject(list) ? 'an object' : formatValue(list),
    )
  if (list.length === 0) throw inputError(file, 'at least one row', 'an empty list')
  let spelled = kept === 'written' && mayHold(text, kept) ? (spelledJson(text, kept) as readonly unknown[]) : null
  list.forEach((plain: unknown, index) => {
    const where = atRow(file, index + 1)
    if (!isObject(plain)) throw inputError(where, 'a JSON object', formatValue(plain))
    if (hasLarge(plain, where)) spelled ??= spelledJson(text, kept) as readonly unknown[]
    const value = spelled === null ? plain : (withDigits(plain, spelled[index]) as JsonObject)
    const cells = toCells(where, requested, value)
    noted(value)
    format.whole?.(toWholeRow(value))
    format.keys?.(listKeys(value))
    take(index + 1, cells)
  })
}

const parsed = (text: string, file: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    if (thrown instanceof InputError) throw thrown
    throw inputError(file, 'JSON', `text that is not (${reason(thrown)})`)
  }
}
