/** Rows of delimited cells: plain, where a quotation mark is an ordinary character, or with the quotes of RFC 4180 (csv-parse). */
import { CsvError, parse } from 'csv-parse/sync'
import { InputError, inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { eachLine, eachRecords } from './lineStream.js'
import { longestRow, rowTooLong, type RowFormat, type TakeRow } from './rows.js'
import { checkColumns, findColumn, renamedColumns } from './columns.js'
import { utf8 } from './encoding.js'
import { columnCount, describeColumns, type RequestedColumn } from './table.js'
import { atRow } from './dataset.js'

type Separated = Omit<RowFormat, 'quote'>

/** Splits each line at the delimiter. Bytes are split before they are decoded: in UTF-8 no character is part of another. */
export const plainRows = async (
  file: string,
  requested: readonly RequestedColumn[],
  { delimiter = '\t', encoding = utf8, note, whole, storage }: Separated,
  take: TakeRow,
): Promise<void> => {
  const [mark, row] = [Buffer.from(delimiter), rowTaker(file, requested, { delimiter, note, whole }, take)]
  let starts: number[] = []
  const takeLine = (number: number, bytes: Buffer): void => {
    starts = [0]
    for (let at = bytes.indexOf(mark); at !== -1; at = bytes.indexOf(mark, at + mark.length)) starts.push(at + mark.length)
    row(number, starts.length, (column) => {
      const next = starts[column + 1]
      return bytes.toString('utf8', starts[column], next === undefined ? bytes.length : next - mark.length)
    })
  }
  await eachLine(file, takeLine, encoding, storage)
  row.end()
}

/**
 * Without a `delimiter` it is a comma, or what the header shows: Excel writes semicolons where the comma is a decimal point.
 * @throws InputError if a quote opens or closes inside a field, or never closes
 */
export const quotedRows = async (
  file: string,
  requested: readonly RequestedColumn[],
  { delimiter: given, encoding = utf8, note, whole, storage }: Separated,
  take: TakeRow,
): Promise<void> => {
  let opened: { readonly delimiter: string; readonly row: RowTaker } | null = null
  let empty: number[] = [] // they count once a row that is not empty follows
  const openHeader = (bytes: Buffer) => {
    const delimiter = given ?? delimiterIn(bytes, requested)
    if (given === undefined && delimiter !== comma)
      note?.(`${file}: the header has ${delimiterName(delimiter)} between its cells, and so are rows read`)
    return { delimiter, row: rowTaker(file, requested, { delimiter, note, whole }, take) }
  }
  const takeRecords = (bytes: Buffer, first: number): void => {
    opened ??= openHeader(bytes)
    const { delimiter, row } = opened
    // Count a record's first row here: csv-parse counts a CRLF inside quotes as two lines.
    let [number, start] = [first, 0]
    const takeRecord = (cells: readonly string[], end: number): void => {
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
        on_record: (cells: readonly string[], { bytes: end }) => {
          takeRecord(cells, end)
          return null // csv-parse keeps nothing
        },
      })
    } catch (thrown) {
      throw thrown instanceof CsvError ? quoteError(file, thrown, first) : thrown
    }
  }
  await eachRecords(file, takeRecords, { isQuoted: true, encoding }, storage)
  ;(opened ?? openHeader(Buffer.alloc(0))).row.end()
}

const comma = ','
const otherDelimiters = [';', '\t', '|']

const delimiterName = (delimiter: string): string => (delimiter === '\t' ? 'tabs' : `"${delimiter}"`)

/** The longest header whose delimiter is looked for. */
const longestHeader = 2 ** 16

/** A comma, unless it leaves the header in one cell that another delimiter cuts. */
const delimiterIn = (bytes: Buffer, requested: readonly RequestedColumn[]): string => {
  const feed = bytes.subarray(0, longestHeader).indexOf('\n')
  const header = bytes.subarray(0, feed === -1 ? longestHeader : feed)
  const cells = (delimiter: string): readonly string[] => {
    try {
      return (parse(header, { delimiter, relax_column_count: true }) as readonly (readonly string[])[])[0] ?? []
    } catch {
      return [] // a quoted cell with a line break
    }
  }
  const [only = '', ...more] = cells(comma)
  if (more.length > 0 || requested.some(({ name }) => findColumn([only], name) !== undefined)) return comma
  return otherDelimiters.find((delimiter) => cells(delimiter).length > 1) ?? comma
}

/** @param first the row that the parsed text begins */
const quoteError = (file: string, error: CsvError, first: number): InputError => {
  const row = first + Number(error['lines']) - 1
  if (error.code === 'CSV_MAX_RECORD_SIZE') return rowTooLong(file, row, longestRow + 1)
  return error.code === 'CSV_QUOTE_NOT_CLOSED'
    ? inputError(atRow(file, row), 'a closing quote', 'the end of the file inside a quoted field')
    : inputError(atRow(file, row), 'a quoted field with quotes at both ends and "" for a quote inside', 'a stray quote')
}

type RowTaker = ((number: number, width: number, cell: (column: number) => string) => void) & { readonly end: () => void }

/** Takes rows; the first is the header. @throws InputError if a column is missing or a row has another width */
const rowTaker = (
  file: string,
  requested: readonly RequestedColumn[],
  { delimiter, note, whole }: { readonly delimiter: string; readonly note: RowFormat['note']; readonly whole: RowFormat['whole'] },
  take: TakeRow,
): RowTaker => {
  let header: { readonly width: number; readonly names: readonly string[]; readonly places: readonly number[] } | null = null
  let rows = 0
  const row = (number: number, width: number, cell: (column: number) => string): void => {
    if (header === null) {
      const names = Array.from({ length: width }, (_, column) => cell(column).trim())
      header = { width, names, places: placesIn(file, names, requested, delimiter) }
      if (note !== undefined) for (const line of renamedColumns(file, names, requested)) note(line)
      return
    }
    if (width !== header.width) throw inputError(atRow(file, number), columnCount(header.width), columnCount(width))
    rows++
    whole?.({ names: header.names, values: header.names.map((_, column) => cell(column)), delimiter })
    take(number, header.places.map(cell))
  }
  return Object.assign(row, {
    end: () => {
      if (header === null) throw inputError(file, 'at least one row', 'an empty file')
      if (rows === 0) throw inputError(file, 'at least one row of data', 'none')
    },
  })
}

/** The places of the requested columns. @param delimiter what separated the header's cells @throws InputError */
export const placesIn = (
  file: string,
  header: readonly string[],
  requested: readonly RequestedColumn[],
  delimiter: string,
): readonly number[] => {
  try {
    checkColumns(atRow(file, 1), header, requested)
  } catch (thrown) {
    const other =
      header.length === 1 ? [comma, ...otherDelimiters].find((mark) => mark !== delimiter && header[0]?.includes(mark)) : undefined
    if (!(thrown instanceof InputError) || other === undefined) throw thrown
    const { where, expected } = thrown.mistake
    throw inputError(
      where,
      expected,
      words`${describeColumns(header)} (${option('delimiter')} ${other === '\t' ? 'tab' : `"${other}"`} would cut it)`,
    )
  }
  return requested.map(({ name }) => {
    const place = header.indexOf(findColumn(header, name) ?? name)
    if (place !== header.lastIndexOf(header[place] ?? ''))
      throw inputError(atRow(file, 1), `one column ${quoted(name)}`, 'more than one of that name')
    return place
  })
}
