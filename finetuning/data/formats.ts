/** The formats of users' files, by the ending of the name: a new format is a line here. */
import { alternatives } from '../../accelerated/errors/nearest.js'
import { inputError, quoted, type InputError } from '../../accelerated/errors/inputError.js'
import { option } from '../../accelerated/errors/words.js'
import { fileExtension, unpackedName } from '../../accelerated/storage/paths.js'
import { parseEncoding } from './encoding.js'
import { jsonLineRows, jsonRows } from './jsonRows.js'
import { parquetRows } from './parquetRows.js'
import type { ReadRows, RowFormat } from './rows.js'
import { plainRows, quotedRows } from './separatedRows.js'
import { checkSize } from './textFile.js'

/** A reader of delimited cells. Delimiter and quotes may be chosen; `own` has the defaults. */
const separated =
  (own: Pick<RowFormat, 'delimiter'> & { readonly quote: boolean }): ReadRows =>
  (file, requested, { quote = own.quote, ...format }, take) =>
    (quote ? quotedRows : plainRows)(file, requested, { ...own, ...format }, take)

const formats: Readonly<Record<string, { readonly read: ReadRows; readonly cells: boolean }>> = {
  '.tsv': { read: separated({ delimiter: '\t', quote: false }), cells: true },
  '.csv': { read: separated({ quote: true }), cells: true },
  '.jsonl': { read: jsonLineRows, cells: false },
  '.json': { read: jsonRows, cells: false },
  '.parquet': { read: parquetRows, cells: false },
}

export const fileEndings: readonly string[] = Object.keys(formats)

/** What to do with files of other programs, by ending. */
const remedies: Readonly<Record<string, readonly string[]>> = {
  'save it as CSV': ['.xlsx', '.xls', '.xlsm', '.ods', '.numbers'],
  'unpack it first': ['.zip', '.bz2', '.xz', '.zst', '.7z', '.tar', '.tgz'],
  'write it as Parquet or CSV': [
    '.arrow',
    '.feather',
    '.orc',
    '.avro',
    '.sqlite',
    '.db',
    '.pkl',
    '.pickle',
    '.npy',
    '.npz',
    '.rds',
    '.xml',
    '.yaml',
    '.yml',
  ],
}

const unknownExtension = (file: string): InputError => {
  const ending = fileExtension(unpackedName(file))
  const remedy = Object.entries(remedies).find(([, endings]) => endings.includes(ending.toLowerCase()))?.[0]
  const none = unpackedName(file) === file ? 'no ending' : '".gz" alone (call it .csv.gz, after what it holds)'
  const got = ending === '' ? none : `${quoted(ending)}${remedy === undefined ? '' : ` (${remedy})`}`
  return inputError(file, `a file whose name ends in ${alternatives(fileEndings)}`, got)
}

/** `a .tsv, .csv or .jsonl file` */
export const fileHelp = `a ${alternatives(fileEndings)} file`

/** The ending that says what a file holds, in lower case: `.csv` for `reviews.CSV.gz`. */
export const contentExtension = (file: string): string => fileExtension(unpackedName(file)).toLowerCase()

/** Whether the rows of this file are objects, with typed values. */
export const hasObjects = (file: string): boolean => formats[contentExtension(file)]?.cells === false

/**
 * Reads a file whose rows are objects. @param what they are, in messages
 * @throws InputError for a file of cells, for one that is too large, and for an unknown encoding
 */
export const makeObjectReader = (file: string, what: string, encoding: string | undefined): ObjectReader => {
  const format = encoding === undefined ? {} : { encoding: parseEncoding(encoding) }
  const read = findReader(file, format)
  if (!hasObjects(file)) throw inputError(file, `a .json, .jsonl or .parquet file of ${what}`, 'another')
  return async (requested, take, keys) => {
    await checkSize(file)
    await read(file, requested, { ...format, ...(keys === undefined ? {} : { keys }) }, take)
  }
}

/** @param keys takes the names of a row's fields before the row */
type ObjectReader = (requested: Parameters<ReadRows>[1], take: Parameters<ReadRows>[3], keys?: RowFormat['keys']) => ReturnType<ReadRows>

/** The reader of this file. @throws InputError for an unknown ending, or for a delimiter or quotes in a format without cells */
export const findReader = (file: string, { delimiter, quote, encoding }: RowFormat): ReadRows => {
  const ending = contentExtension(file)
  const format = formats[ending]
  if (format === undefined) throw unknownExtension(file)
  if (!format.cells && (delimiter !== undefined || quote === true))
    throw inputError(delimiter === undefined ? option('quote', true) : option('delimiter'), 'a .csv or .tsv file to go with it', file)
  if (ending === '.parquet' && unpackedName(file) !== file) throw inputError(file, 'a .parquet file', 'a gzipped one (unpack it first)')
  if (ending === '.parquet' && encoding !== undefined) throw inputError(option('encoding'), 'a file of text to go with it', file)
  return format.read
}

/** The delimiter that a user typed: a character, or `tab`. @throws InputError for anything else */
export const parseDelimiter = (given: string): string => {
  const character = given === 'tab' || given === '\\t' ? '\t' : given
  if ([...character].length !== 1 || ['"', '\n', '\r'].includes(character))
    throw inputError(option('delimiter'), 'one character, or tab', quoted(given))
  return character
}
