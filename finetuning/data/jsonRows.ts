/** Rows as JSON objects: one per line, or one list. Only the named columns are read. */
import { InputError, inputError, quoted, reason, shown } from '../../accelerated/errors/inputError.js'
import { readText } from '../../accelerated/storage/boundedJson.js'
import { eachLine } from './lineStream.js'
import { cellsOf, isObject, longestRow, type ReadRows } from './rows.js'
import { atRow } from './errorText.js'

export const jsonLineRows: ReadRows = (file, requested, _format, take) =>
  eachLine(file, (row, line) => {
    const text = line.toString('utf8')
    const where = atRow(file, row)
    take(row, cellsOf(where, requested, objectIn(text, where)))
  })

const objectIn = (text: string, where: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
  } catch {
    // reported below
  }
  throw inputError(where, 'a JSON object', quoted(text))
}

/** A row's number is its place in the list, from 1. */
export const jsonRows: ReadRows = async (file, requested, _format, take) => {
  const text = (await readText(file, longestRow)).replace(/^\uFEFF/, '')
  const list = parsed(text, file)
  if (!Array.isArray(list))
    throw inputError(file, "a list of objects (pandas: orient='records'; one a line is .jsonl)", isObject(list) ? 'an object' : shown(list))
  if (list.length === 0) throw inputError(file, 'at least one row', 'an empty list')
  list.forEach((value: unknown, index) => {
    const where = atRow(file, index + 1)
    if (!isObject(value)) throw inputError(where, 'a JSON object', shown(value))
    take(index + 1, cellsOf(where, requested, value))
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
