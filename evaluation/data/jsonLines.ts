/** JSON lines: one object a line, of which the named columns are taken. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { columnsFound, quoted, type Problem } from './problem.js'
import { columnExpected, type Table, type TableRow, type WantedColumn } from './table.js'
import { lines } from './textFile.js'

/** The wanted columns as text: strings as they are, numbers and booleans as JSON writes them; anything else is a problem. */
export const jsonLines =
  (file: string, wanted: ReadonlyArray<WantedColumn>) =>
  (bytes: Buffer): E.Either<Problem, Table> =>
    pipe(
      Array.from(lines(bytes)),
      E.traverseArray(({ row, start, end }) => rowOf(file, wanted, row, bytes.toString('utf8', start, end))),
      E.map((rows) => ({ rows, skipped: [] })),
    )

const rowOf = (file: string, wanted: ReadonlyArray<WantedColumn>, row: number, line: string): E.Either<Problem, TableRow> =>
  pipe(
    E.tryCatch(
      (): unknown => JSON.parse(line),
      () => ({ where: file, row, expected: 'a JSON object', found: quoted(line) }),
    ),
    E.filterOrElse(isObject, () => ({ where: file, row, expected: 'a JSON object', found: quoted(line) })),
    E.chain((object) => pipe(wanted, E.traverseArray(cellOf(file, row, object)))),
    E.map((cells) => ({ row, cells })),
  )

const cellOf =
  (file: string, row: number, object: Readonly<Record<string, unknown>>) =>
  (wanted: WantedColumn): E.Either<Problem, string> => {
    if (!Object.hasOwn(object, wanted.name)) {
      return E.left({ where: file, row, expected: columnExpected(wanted), found: columnsFound(Object.keys(object)) })
    }
    const value = object[wanted.name]
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
      ? E.right(String(value))
      : E.left({ where: file, row, expected: `a text or a number in column ${quoted(wanted.name)}`, found: quoted(JSON.stringify(value)) })
  }

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
