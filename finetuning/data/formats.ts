/** The formats of files of the user's own, by the ending of the name: a new one is a line here. */
import { extname } from 'node:path'
import { alternatives } from '../../accelerated/errors/alternatives.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { jsonLineRows, jsonRows } from './jsonRows.js'
import { parquetRows } from './parquetRows.js'
import type { ReadRows, RowFormat } from './rows.js'
import { plainRows, quotedRows } from './separatedRows.js'

/** Cells with something between them; what it is and whether cells are quoted can be told, and is otherwise as given here. */
const separated =
  (own: Required<RowFormat>): ReadRows =>
  (file, wanted, { delimiter = own.delimiter, quote = own.quote }, take) =>
    (quote ? quotedRows : plainRows)(file, wanted, { delimiter }, take)

const formats: Readonly<Record<string, { readonly read: ReadRows; readonly cells: boolean }>> = {
  '.tsv': { read: separated({ delimiter: '\t', quote: false }), cells: true },
  '.csv': { read: separated({ delimiter: ',', quote: true }), cells: true },
  '.jsonl': { read: jsonLineRows, cells: false },
  '.json': { read: jsonRows, cells: false },
  '.parquet': { read: parquetRows, cells: false },
}

export const fileEndings: ReadonlyArray<string> = Object.keys(formats)

/** `a .tsv, .csv or .jsonl file` */
export const fileHelp = `a ${alternatives(fileEndings)} file`

/** Whether the rows of this file are objects, with values of their own kinds. */
export const hasObjects = (file: string): boolean => formats[extname(file).toLowerCase()]?.cells === false

/** How the rows of this file are read. @throws Mistake for an ending that is not known, and for a delimiter or quotes where there are none */
export const readerOf = (file: string, { delimiter, quote }: RowFormat): ReadRows => {
  const ending = extname(file).toLowerCase()
  const format = formats[ending]
  if (format === undefined)
    throw inputError(file, `a file whose name ends in ${alternatives(fileEndings)}`, ending === '' ? 'no ending' : quoted(extname(file)))
  if (!format.cells && (delimiter !== undefined || quote === true))
    throw inputError(delimiter === undefined ? '--quote' : '--delimiter', 'a .csv or .tsv file to go with it', file)
  return format.read
}

/** The character that a user means: itself, or a tab by its name. @throws Mistake for what ends no cell */
export const delimiterOf = (given: string): string => {
  const character = given === 'tab' || given === '\\t' ? '\t' : given
  if ([...character].length !== 1 || ['"', '\n', '\r'].includes(character))
    throw inputError('--delimiter', 'one character, or tab', quoted(given))
  return character
}
