/** Labels as written in a file of the user's own, turned into class indices or scores. */
import * as E from 'fp-ts/lib/Either.js'
import { type Mistake, mistake, quoted } from '../../accelerated/files/mistake.js'
import { decimal, isInteger } from './dataset.js'
import { atRow, oneOf } from './wording.js'

export type WrittenLabel = { readonly row: number; readonly label: string }

/**
 * The classes that occur, sorted: as numbers if all are integers, else by code unit. A mistake if one label is empty, if
 * there are fewer than two, or if all are numbers and one is not an integer, for then a regression is meant.
 */
export const classesOf = (file: string, written: ReadonlyArray<WrittenLabel>): E.Either<Mistake, ReadonlyArray<string>> => {
  const empty = written.find(({ label }) => label === '')
  if (empty !== undefined) return E.left(mistake(atRow(file, empty.row), 'a label', 'an empty one'))
  const classes = Array.from(new Set(written.map(({ label }) => label)))
  const fraction = classes.every((label) => decimal(label) !== null) ? classes.find((label) => !isInteger(label)) : undefined
  if (fraction !== undefined) {
    const row = written.find(({ label }) => label === fraction)?.row ?? 1
    return E.left(
      mistake(atRow(file, row), "a class (text or an integer; a real number is a label of problem 'regression')", quoted(fraction)),
    )
  }
  if (classes.length < 2) return E.left(mistake(file, 'at least two classes', `only ${oneOf(classes.map((label) => quoted(label)))}`))
  return E.right(classes.every(isInteger) ? classes.sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : 1)) : classes.sort())
}

/** The index of a written label among `labelNames`; an unknown label is a mistake. */
export const classIndex = (file: string, labelNames: ReadonlyArray<string>) => {
  const indices = new Map(labelNames.map((name, index) => [name, index]))
  return ({ row, label }: WrittenLabel): E.Either<Mistake, number> =>
    orElse(indices.get(label), () => mistake(atRow(file, row), `a label of the training data (${oneOf(labelNames)})`, quoted(label)))
}

/** Between the labels of one cell. */
export const labelSeparator = '|'

const partsOf = ({ label }: WrittenLabel): ReadonlyArray<string> =>
  [...new Set(label.split(labelSeparator).map((part) => part.trim()))].filter((part) => part !== '')

/** The classes that occur in cells with any number of labels, sorted; a mistake if there are fewer than two. */
export const classesOfSets = (file: string, written: ReadonlyArray<WrittenLabel>): E.Either<Mistake, ReadonlyArray<string>> => {
  const classes = [...new Set(written.flatMap(partsOf))].sort()
  return classes.length > 1
    ? E.right(classes)
    : E.left(
        mistake(
          file,
          `at least two classes (several labels of one row with ${labelSeparator} between them)`,
          classes.length === 0 ? 'none' : `only ${quoted(classes[0] ?? '')}`,
        ),
      )
}

/** The indices of a cell's labels among `labelNames`, perhaps none; an unknown label is a mistake. */
export const classIndices = (file: string, labelNames: ReadonlyArray<string>) => {
  const index = classIndex(file, labelNames)
  return (cell: WrittenLabel): E.Either<Mistake, ReadonlyArray<number>> =>
    E.traverseArray((label: string) => index({ row: cell.row, label }))(partsOf(cell))
}

/** The score that a written label stands for. */
export const scoreOf =
  (file: string) =>
  ({ row, label }: WrittenLabel): E.Either<Mistake, number> =>
    orElse(decimal(label), () => mistake(atRow(file, row), 'a real number as label', quoted(label)))

/** As E.fromNullable, but the mistake is made only where there is one: an Error for each row would cost more than reading it. */
const orElse = (value: number | null | undefined, told: () => Mistake): E.Either<Mistake, number> =>
  value === null || value === undefined ? E.left(told()) : E.right(value)
