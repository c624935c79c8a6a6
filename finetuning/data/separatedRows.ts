/** Rows of delimited cells: plain, where a quotation mark is an ordinary character, or with the quotes of RFC 4180 (csv-parse). */
import { CsvError, parse } from 'csv-parse/sync'
import { type InputError, inputError } from '../../accelerated/errors/inputError.js'
import { eachLine } from './lineStream.js'
import { longestRow, rowTooLong, type RowFormat, type TakeRow } from './rows.js'
import { columnCount, placesIn, type RequestedColumn } from './table.js'
import { readUtf8 } from './textFile.js'
import { atRow } from './errorText.js'

type Separated = Pick<RowFormat, 'delimiter'>

/** Splits each line at the delimiter. Bytes are split before they are decoded: in UTF-8 no character is part of another. */
export const plainRows = async (
  file: string,
  requested: ReadonlyArray<RequestedColumn>,
  { delimiter = '\t' }: Separated,
  take: TakeRow,
): Promise<void> => {
  const [mark, row] = [Buffer.from(delimiter), rowTaker(file, requested, delimiter, take)]
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

/** @throws InputError if a quote opens or closes inside a field, or never closes */
export const quotedRows = async (
  file: string,
  requested: ReadonlyArray<RequestedColumn>,
  { delimiter = ',' }: Separated,
  take: TakeRow,
): Promise<void> => {
  const bytes = readUtf8(file)
  const row = rowTaker(file, requested, delimiter, take)
  // Count a record's first row here: csv-parse counts a CRLF inside quotes as two lines.
  let [number, start] = [1, 0]
  let empty: number[] = [] // they count once a row that is not empty follows
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
        return null // csv-parse keeps nothing
      },
    })
  } catch (thrown) {
    throw thrown instanceof CsvError ? quoteError(file, thrown) : thrown
  }
  row.end()
}

const quoteError = (file: string, error: CsvError): InputError => {
  const row = Number(error['lines'])
  if (error.code === 'CSV_MAX_RECORD_SIZE') return rowTooLong(file, row, longestRow + 1)
  return error.code === 'CSV_QUOTE_NOT_CLOSED'
    ? inputError(atRow(file, row), 'a closing quote', 'the end of the file inside a quoted field')
    : inputError(atRow(file, row), 'a quoted field with quotes at both ends and "" for a quote inside', `a stray quote (${error.code})`)
}

type RowTaker = ((number: number, width: number, cell: (column: number) => string) => void) & { readonly end: () => void }

/** Takes rows; the first is the header. @throws InputError if a column is missing or a row has another width */
const rowTaker = (file: string, requested: ReadonlyArray<RequestedColumn>, delimiter: string, take: TakeRow): RowTaker => {
  let header: { readonly width: number; readonly places: ReadonlyArray<number> } | null = null
  let rows = 0
  const row = (number: number, width: number, cell: (column: number) => string): void => {
    if (header === null) {
      const names = Array.from({ length: width }, (_, column) => cell(column).trim())
      header = { width, places: placesIn(file, names, requested, delimiter) }
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
