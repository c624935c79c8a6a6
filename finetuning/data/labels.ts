/** Turns labels, as a user's file writes them, into class indices or scores. */
import { alternatives } from '../../accelerated/errors/nearest.js'
import { type InputError, inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { decimal, isInteger, atRow } from './dataset.js'

/** The classes of a file, and the class index of each written label. */
export type Classes = {
  readonly names: readonly string[]
  readonly indexOf: ReadonlyMap<string, number>
  /** labels that are read as one class: `1` and `1.0` */
  readonly merged: readonly (readonly string[])[]
}

/**
 * The classes among written labels, sorted: as numbers if all are numbers, else by code unit. If all are numbers, 1.0 and 1 are one class, because
 * tables with a missing value write whole numbers so. It has the name that the file writes: the whole number where the file writes both.
 * @param written each label with the row where it first occurs @param asText labels are texts, whatever they look like
 * @throws InputError if there are fewer than two classes, or if all labels are numbers and one is not whole: a regression is meant then
 */
export const findClasses = (file: string, written: ReadonlyMap<string, number>, asText = false): Classes => {
  const labels = [...written.keys()]
  const numbers = !asText && areNumbers(labels)
  const fraction = numbers ? labels.find((label) => !isInteger(normalizeInteger(label))) : undefined
  if (fraction !== undefined)
    throw inputError(
      atRow(file, written.get(fraction) ?? 1),
      words`a class (text or an integer; ${option('problemType')} regression reads real numbers, and ${option('labelsAsText', true)} any text)`,
      quoted(fraction),
    )
  const forms = new Map<string, string[]>()
  for (const label of labels) {
    const key = numbers ? normalizeInteger(label) : label
    forms.set(key, [...(forms.get(key) ?? []), label])
  }
  const classes = Array.from(forms, ([key, [only = key, ...more]]) => ({ key, name: more.length === 0 ? only : key }))
  if (classes.length < 2) throw inputError(file, 'at least two classes', `only ${alternatives(classes.map(({ name }) => quoted(name)))}`)
  if (classes.every(({ key }) => isInteger(key))) classes.sort((a, b) => Number(a.key) - Number(b.key) || (a.key < b.key ? -1 : 1))
  else classes.sort((a, b) => (a.name < b.name ? -1 : 1))
  const places = new Map(classes.map(({ key }, index) => [key, index]))
  return {
    names: classes.map(({ name }) => name),
    indexOf: new Map(labels.map((label) => [label, places.get(numbers ? normalizeInteger(label) : label) ?? NaN])),
    merged: [...forms.values()].filter((labels) => labels.length > 1),
  }
}

const areNumbers = (labels: readonly string[]): boolean => labels.every((label) => decimal(label) !== null)

/** 1.0 → 1 */
const normalizeInteger = (label: string): string => /^([+-]?\d+)\.0*$/.exec(label)?.[1] ?? label

export const withoutBlanks = (label: string): string => label.normalize('NFKC').replaceAll(/\s+/g, ' ').trim()

/** What labels that differ only in case or blanks have in common. */
export const foldLabel = (label: string): string => withoutBlanks(label).toLowerCase()

/**
 * How labels become classes. asText: labels are texts, whatever they look like · mergesCase: those with one `foldLabel` are one class
 * areLogits: numbers by class are logits, and not probabilities
 */
export type LabelForms = { readonly asText?: boolean; readonly mergesCase?: boolean; readonly areLogits?: boolean }

/** The names with which data is recognized, whether its file writes 1 or 1.0. */
export const comparableNames = (labelNames: readonly string[]): readonly string[] => {
  const wholes = labelNames.map(normalizeInteger)
  return areNumbers(labelNames) && new Set(wholes).size === labelNames.length ? wholes : labelNames
}

/** A class under two spellings. */
export type Respelled = { readonly first: string; readonly second: string; readonly as: 'number' | 'case' }

/** The first class that two lists spell differently, if they have the same classes but for how numbers are written, and for case; else null. */
export const respelled = (first: readonly string[], second: readonly string[]): Respelled | null => {
  const toKey = (name: string): string => String(decimal(name) ?? name.toLowerCase())
  const bySpelling = new Map(second.map((name) => [toKey(name), name]))
  const pairs = first.map((name) => ({ first: name, second: bySpelling.get(toKey(name)) }))
  const differing = pairs.find((pair) => pair.second !== pair.first)?.first
  const other = differing === undefined ? undefined : bySpelling.get(toKey(differing))
  const same = bySpelling.size === second.length && second.length === first.length && new Set(first.map(toKey)).size === first.length
  if (!same || pairs.some((pair) => pair.second === undefined) || differing === undefined || other === undefined) return null
  return { first: differing, second: other, as: decimal(differing) === null ? 'case' : 'number' }
}

/** The index of a label among names; a whole number may be written otherwise (1, 1.0). undefined: it is not there */
export const labelIndexIn = (labelNames: readonly string[]): ((label: string) => number | undefined) => {
  const wholes = new Map(comparableNames(labelNames).map((name, index) => [name, index]))
  const indices = new Map(labelNames.map((name, index) => [name, index]))
  return (label) => indices.get(label) ?? wholes.get(normalizeInteger(label))
}

/** Returns the index of a written label among `labelNames`. @throws InputError for an unknown label */
export const classIndex = (labelNames: readonly string[], { asText = false, mergesCase = false }: LabelForms = {}) => {
  const exact = new Map(labelNames.map((name, index) => [name, index]))
  const findIndex = asText ? (label: string) => exact.get(label) : labelIndexIn(labelNames)
  const folded = new Map(mergesCase ? labelNames.map((name, index) => [foldLabel(name), index]) : [])
  return (label: string, where: () => string): number =>
    findIndex(label) ??
    folded.get(foldLabel(label)) ??
    raise(inputError(where(), `a label of the training data (${alternatives(labelNames)})`, quoted(label)))
}

/** Separates the labels of one cell. */
export const labelSeparator = '|'

/** The labels of a cell that may have any number of labels. */
export const labelsIn = (cell: string): readonly string[] =>
  [...new Set(cell.split(labelSeparator).map((part) => part.trim()))].filter((part) => part !== '')

/** The classes among cells with any number of labels, sorted. @throws InputError if there are fewer than two */
export const findSetClasses = (file: string, written: ReadonlyMap<string, number>): Classes => {
  const names = [...written.keys()].sort()
  if (names.length < 2)
    throw inputError(
      file,
      `at least two classes (several labels of one row with ${labelSeparator} between them)`,
      names.length === 0 ? 'none' : `only ${quoted(names[0] ?? '')}`,
    )
  return { names, indexOf: new Map(names.map((name, index) => [name, index])), merged: [] }
}

/** The number that a label writes. @throws InputError */
export const parseScore = (label: string, where: () => string): number => {
  const score = decimal(label)
  if (score === null) throw inputError(where(), 'a real number as label', quoted(label))
  if (Math.abs(score) > largestScore) throw inputError(where(), 'a score from −1e30 to 1e30', quoted(label))
  return score
}

/** A head of float32 can answer scores up to 3e38. */
const largestScore = 1e30

const raise = (error: InputError): never => {
  throw error
}
