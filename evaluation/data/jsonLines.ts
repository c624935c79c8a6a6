/** JSON lines: one object a line, of which the named columns are taken. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { type Mistake, mistake, quoted, shown } from '../../accelerated/files/mistake.js'
import { columnExpected, columnsFound, type Table, type TableRow, type WantedColumn } from './table.js'
import { lines } from './textFile.js'
import { atRow } from './wording.js'

/** The wanted columns as text: strings as they are, numbers and booleans as JSON writes them; anything else is a mistake. */
export const jsonLines =
  (file: string, wanted: ReadonlyArray<WantedColumn>) =>
  (bytes: Buffer): E.Either<Mistake, Table> =>
    pipe(
      Array.from(lines(bytes)),
      E.traverseArray(({ row, start, end }) => rowOf(file, wanted, row, bytes.toString('utf8', start, end))),
      E.map((rows) => ({ rows, skipped: [] })),
    )

const rowOf = (file: string, wanted: ReadonlyArray<WantedColumn>, row: number, line: string): E.Either<Mistake, TableRow> => {
  const noObject = (): Mistake => mistake(atRow(file, row), 'a JSON object', quoted(line))
  return pipe(
    E.tryCatch((): unknown => JSON.parse(line), noObject),
    E.filterOrElse(isObject, noObject),
    E.chain((object) => pipe(wanted, E.traverseArray(cellOf(atRow(file, row), object)))),
    E.map((cells) => ({ row, cells })),
  )
}

const cellOf =
  (where: string, object: Readonly<Record<string, unknown>>) =>
  (wanted: WantedColumn): E.Either<Mistake, string> => {
    if (!Object.hasOwn(object, wanted.name)) {
      return E.left(mistake(where, columnExpected(wanted), columnsFound(Object.keys(object))))
    }
    const value = object[wanted.name]
    const { list } = wanted
    if (list !== undefined && Array.isArray(value) && value.every((part) => typeof part === 'string' && !part.includes(list)))
      return E.right(value.join(list))
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
      ? E.right(String(value))
      : E.left(mistake(where, `a text or a number in column ${quoted(wanted.name)}`, shown(value)))
  }

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
