/** Rows of cells with a character between them: plain, where a quotation mark is only a character, or with RFC 4180's quotes, by csv-parse. */
import { CsvError, parse } from 'csv-parse/sync'
import * as E from 'fp-ts/lib/Either.js'
import { type InputError, inputError } from '../../accelerated/errors/inputError.js'
import { eachLine } from './lineStream.js'
import { longestRow, rowTooLong, type RowFormat, type TakeRow } from './rows.js'
import { columnCount, placesIn, type WantedColumn } from './table.js'
import { readUtf8 } from './textFile.js'
import { atRow } from './errorText.js'

type Separated = Pick<RowFormat, 'delimiter'>

/** Lines cut at each delimiter. Bytes are cut first: in UTF-8 no character is part of another. */
export const plainRows = async (
  file: string,
  wanted: ReadonlyArray<WantedColumn>,
  { delimiter = '\t' }: Separated,
  take: TakeRow,
): Promise<void> => {
  const [mark, row] = [Buffer.from(delimiter), rowTaker(file, wanted, delimiter, take)]
  let starts: number[] = []
  await eachLine(file, (number, bytes) => {
    starts = [0]
    for (let at = bytes.indexOf(mark); at !== -1; at = bytes.indexOf(mark, at + mark.length)) starts.push(at + mark.length)
    row(number, starts.length, (column) => {
      const next = starts[column + 1]
      return bytes.toString('utf8', starts[column], next === undefined ? bytes.length : next - mark.length)
    })
  })
  row.end()
}

/** A mistake where a quote opens or closes inside a field, or never closes. */
export const quotedRows = async (
  file: string,
  wanted: ReadonlyArray<WantedColumn>,
  { delimiter = ',' }: Separated,
  take: TakeRow,
): Promise<void> => {
  const read = readUtf8(file)
  if (E.isLeft(read)) throw read.left
  const bytes = read.right
  const row = rowTaker(file, wanted, delimiter, take)
  // The row on which a record begins is counted here: csv-parse counts a CRLF inside quotes as two lines.
  let [number, start] = [1, 0]
  let empty: number[] = [] // rows that count once a row that is not empty follows them
  const takeRecord = (cells: ReadonlyArray<string>, end: number): void => {
    if (cells.length === 1 && cells[0] === '') empty.push(number)
    else {
      for (const at of empty) row(at, 1, () => '')
      empty = []
      row(number, cells.length, (column) => cells[column] ?? '')
    }
    for (let feed = bytes.indexOf('\n', start); feed !== -1 && feed < end; feed = bytes.indexOf('\n', feed + 1)) number++
    start = end
  }
  try {
    parse(bytes, {
      delimiter,
      relax_column_count: true,
      record_delimiter: ['\r\n', '\n'],
      max_record_size: longestRow,
      on_record: (cells: ReadonlyArray<string>, { bytes: end }) => {
        takeRecord(cells, end)
        return null // nothing is kept there
      },
    })
  } catch (thrown) {
    throw thrown instanceof CsvError ? quoteMistake(file, thrown) : thrown
  }
  row.end()
}

const quoteMistake = (file: string, error: CsvError): InputError => {
  const row = Number(error['lines'])
  if (error.code === 'CSV_MAX_RECORD_SIZE') return rowTooLong(file, row, longestRow + 1)
  return error.code === 'CSV_QUOTE_NOT_CLOSED'
    ? inputError(atRow(file, row), 'a closing quote', 'the end of the file inside a quoted field')
    : inputError(atRow(file, row), 'a quoted field with quotes at both ends and "" for a quote inside', `a stray quote (${error.code})`)
}

type RowTaker = ((number: number, width: number, cell: (column: number) => string) => void) & { readonly end: () => void }

/** Takes rows of which the first is the header. @throws Mistake for a column that is missing and a row of another width */
const rowTaker = (file: string, wanted: ReadonlyArray<WantedColumn>, delimiter: string, take: TakeRow): RowTaker => {
  let header: { readonly width: number; readonly places: ReadonlyArray<number> } | null = null
  let rows = 0
  const row = (number: number, width: number, cell: (column: number) => string): void => {
    if (header === null) {
      const names = Array.from({ length: width }, (_, column) => cell(column).trim())
      header = { width, places: placesIn(file, names, wanted, delimiter) }
      return
    }
    if (width !== header.width) throw inputError(atRow(file, number), columnCount(header.width), columnCount(width))
    rows++
    take(number, header.places.map(cell))
  }
  return Object.assign(row, {
    end: () => {
      if (header === null) throw inputError(file, 'a header', 'an empty file')
      if (rows === 0) throw inputError(file, 'at least one row of data', 'none')
    },
  })
}
