/** Labels as written in a file of the user's own, turned into class indices or scores. */
import * as E from 'fp-ts/lib/Either.js'
import { decimal, isInteger } from './dataset.js'
import { oneOf, quoted, type Problem } from './problem.js'

export type WrittenLabel = { readonly row: number; readonly label: string }

/**
 * The classes that occur, sorted: as numbers if all are integers, else by code unit. A problem if one label is empty, if
 * there are fewer than two, or if all are numbers and one is not an integer, for then a regression is meant.
 */
export const classesOf = (file: string, written: ReadonlyArray<WrittenLabel>): E.Either<Problem, ReadonlyArray<string>> => {
  const empty = written.find(({ label }) => label === '')
  if (empty !== undefined) return E.left({ where: file, row: empty.row, expected: 'a label', found: 'an empty one' })
  const classes = Array.from(new Set(written.map(({ label }) => label)))
  const fraction = classes.every((label) => decimal(label) !== null) ? classes.find((label) => !isInteger(label)) : undefined
  if (fraction !== undefined) {
    const row = written.find(({ label }) => label === fraction)?.row ?? 1
    return E.left({
      where: file,
      row,
      expected: "a class (text or an integer; a real number is a label of problem 'regression')",
      found: quoted(fraction),
    })
  }
  if (classes.length < 2) return E.left({ where: file, expected: 'at least two classes', found: `only ${oneOf(classes.map(quoted))}` })
  return E.right(classes.every(isInteger) ? classes.sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : 1)) : classes.sort())
}

/** The index of a written label among `labelNames`; an unknown label is a problem. */
export const classIndex = (file: string, labelNames: ReadonlyArray<string>) => {
  const indices = new Map(labelNames.map((name, index) => [name, index]))
  return ({ row, label }: WrittenLabel): E.Either<Problem, number> =>
    E.fromNullable({ where: file, row, expected: `a label of the training data (${oneOf(labelNames)})`, found: quoted(label) })(
      indices.get(label),
    )
}

/** The score that a written label stands for. */
export const scoreOf =
  (file: string) =>
  ({ row, label }: WrittenLabel): E.Either<Problem, number> =>
    E.fromNullable({ where: file, row, expected: 'a real number as label', found: quoted(label) })(decimal(label))
