/** Comma-separated values with RFC 4180's quotes, by csv-parse. */
import { CsvError, parse, type Info } from 'csv-parse/sync'
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { type Mistake, mistake } from '../../accelerated/files/mistake.js'
import type { CellRecord } from './table.js'
import { atRow } from './wording.js'

type Parsed = { readonly record: ReadonlyArray<string>; readonly info: Info }

/** The records of a text known to be UTF-8; a mistake where a quote opens or closes inside a field, or never closes. */
export const commaSeparated =
  (file: string) =>
  (bytes: Buffer): E.Either<Mistake, ReadonlyArray<CellRecord>> =>
    pipe(
      // With `info`, each item is { record, info }, which csv-parse's type does not say.
      E.tryCatch(
        () => parse(bytes, { info: true, relax_column_count: true, record_delimiter: ['\r\n', '\n'] }) as unknown as Parsed[],
        quoteMistake(file),
      ),
      E.map((parsed) => withoutEmptyEnd(parsed)),
      E.map((parsed) => {
        const firstRows = rowsOf(
          bytes,
          parsed.map(({ info }) => info.bytes),
        )
        return parsed.map(({ record }, index) => ({
          row: firstRows[index] ?? 0,
          width: record.length,
          cell: (column) => record[column] ?? '',
        }))
      }),
    )

/** The row on which each record begins. Counted here: csv-parse counts a CRLF inside quotes as two lines. */
const rowsOf = (bytes: Buffer, ends: ReadonlyArray<number>): ReadonlyArray<number> => {
  const rows: number[] = []
  let row = 1
  let start = 0
  for (const end of ends) {
    rows.push(row)
    for (let feed = bytes.indexOf('\n', start); feed !== -1 && feed < end; feed = bytes.indexOf('\n', feed + 1)) row++
    start = end
  }
  return rows
}

const withoutEmptyEnd = (parsed: ReadonlyArray<Parsed>): ReadonlyArray<Parsed> =>
  parsed.slice(0, parsed.findLastIndex(({ record }) => record.length > 1 || record[0] !== '') + 1)

const quoteMistake =
  (file: string) =>
  (error: unknown): Mistake => {
    if (!(error instanceof CsvError)) throw error
    const where = atRow(file, Number(error['lines']))
    return error.code === 'CSV_QUOTE_NOT_CLOSED'
      ? mistake(where, 'a closing quote', 'the end of the file inside a quoted field')
      : mistake(where, 'a quoted field with quotes at both ends and "" for a quote inside', `a stray quote (${error.code})`)
  }
