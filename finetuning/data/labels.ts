/** Turns labels, as a user's file writes them, into class indices or scores. */
import { alternatives } from '../../accelerated/errors/alternatives.js'
import { type InputError, inputError, quoted } from '../../accelerated/errors/inputError.js'
import { decimal, isInteger } from './dataset.js'
import { atRow } from './errorText.js'

/** The classes of a file, and the class index of each written label. */
export type Classes = { readonly names: ReadonlyArray<string>; readonly indexOf: ReadonlyMap<string, number> }

/**
 * The classes among written labels, sorted: as numbers if all are integers, else by code unit. If all are numbers, 1.0 is 1, because tables with a
 * missing value write whole numbers so. @param written each label with the row where it first occurs
 * @throws InputError if there are fewer than two classes, or if all labels are numbers and one is not whole: a regression is meant then
 */
export const classesOf = (file: string, written: ReadonlyMap<string, number>): Classes => {
  const labels = [...written.keys()]
  const numbers = labels.every((label) => decimal(label) !== null)
  const nameOf = (label: string): string => (numbers ? whole(label) : label)
  const fraction = numbers ? labels.find((label) => !isInteger(whole(label))) : undefined
  if (fraction !== undefined)
    throw inputError(
      atRow(file, written.get(fraction) ?? 1),
      'a class (text or an integer; for real numbers, --problem-type regression)',
      quoted(fraction),
    )
  const names = [...new Set(labels.map(nameOf))]
  if (names.length < 2) throw inputError(file, 'at least two classes', `only ${alternatives(names.map((label) => quoted(label)))}`)
  if (names.every(isInteger)) names.sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : 1))
  else names.sort()
  const places = new Map(names.map((name, index) => [name, index]))
  return { names, indexOf: new Map(labels.map((label) => [label, places.get(nameOf(label)) ?? NaN])) }
}

/** 1.0 → 1 */
const whole = (label: string): string => /^([+-]?\d+)\.0*$/.exec(label)?.[1] ?? label

/** Returns the index of a written label among `labelNames`. @throws InputError for an unknown label */
export const classIndex = (labelNames: ReadonlyArray<string>) => {
  const indices = new Map(labelNames.map((name, index) => [name, index]))
  return (label: string, where: () => string): number =>
    indices.get(label) ??
    indices.get(whole(label)) ??
    raise(inputError(where(), `a label of the training data (${alternatives(labelNames)})`, quoted(label)))
}

/** Separates the labels of one cell. */
export const labelSeparator = '|'

/** The labels of a cell that may have any number of labels. */
export const labelsIn = (cell: string): ReadonlyArray<string> =>
  [...new Set(cell.split(labelSeparator).map((part) => part.trim()))].filter((part) => part !== '')

/** The classes among cells with any number of labels, sorted. @throws InputError if there are fewer than two */
export const classesOfSets = (file: string, written: ReadonlyMap<string, number>): Classes => {
  const names = [...written.keys()].sort()
  if (names.length < 2)
    throw inputError(
      file,
      `at least two classes (several labels of one row with ${labelSeparator} between them)`,
      names.length === 0 ? 'none' : `only ${quoted(names[0] ?? '')}`,
    )
  return { names, indexOf: new Map(names.map((name, index) => [name, index])) }
}

/** The number that a label writes. @throws InputError */
export const scoreOf = (label: string, where: () => string): number =>
  decimal(label) ?? raise(inputError(where(), 'a real number as label', quoted(label)))

const raise = (error: InputError): never => {
  throw error
}
