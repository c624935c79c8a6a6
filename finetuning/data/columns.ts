/** Finds named columns in a header: exactly, else without regard to case. For one that is missing it names the column that was probably meant. */
import { InputError, inputError, quoted } from '../../accelerated/errors/inputError.js'
import { nearest } from '../../accelerated/errors/nearest.js'
import { joined, option, words, type Text, type Words } from '../../accelerated/errors/words.js'
import { columnExpected, describeColumns, type RequestedColumn } from './table.js'

/** What datasets call the column of a text and of a label, the likeliest names first. */
const usualNames: Readonly<Record<string, readonly string[]>> = {
  text: 'text sentence review content comment body message tweet question sentence1 premise title headline description utterance'.split(
    ' ',
  ),
  textPair: 'text_pair text2 sentence2 question2 hypothesis answer response'.split(' '),
  label: 'label labels class category target sentiment stars rating intent topic score y'.split(' '),
}

const folded = (name: string): string => name.trim().toLowerCase()

/** The column's own name among `names`; undefined if none matches, or several do without regard to case. */
export const findColumn = (names: readonly string[], wanted: string): string | undefined => {
  if (names.includes(wanted)) return wanted
  const alike = names.filter((name) => folded(name) === folded(wanted))
  return alike.length === 1 ? alike[0] : undefined
}

/** The columns that are read under other names than the requested ones, in words. */
export const renamedColumns = (file: string, names: readonly string[], requested: readonly RequestedColumn[]): readonly string[] =>
  requested.flatMap(({ name }) => {
    const actual = findColumn(names, name)
    return actual === undefined || actual === name ? [] : [`${file}: the column ${quoted(actual)} is read as ${quoted(name)}`]
  })

/** Columns by the options that name them. */
export type ByOption = Readonly<Record<string, string | undefined>>

/** The columns that were probably meant by requested ones that are absent. @param byContent for those that no name tells */
export const matchColumns = (names: readonly string[], requested: readonly RequestedColumn[], byContent: ByOption = {}): ByOption => {
  const present = requested.flatMap(({ name }) => findColumn(names, name) ?? [])
  const missing = requested.filter(({ name, optional }) => optional !== true && findColumn(names, name) === undefined)
  let left = names.filter((name) => !present.includes(name))
  const likely = missing.map(({ name, option: named = '' }) => {
    const usual = usualNames[named] ?? []
    const [known] = usual.flatMap((usually) => findColumn(left, usually) ?? [])
    const near = nearest(name, left) ?? undefined
    const content = byContent[named]
    const column = (usual.includes(name) ? (known ?? near) : (near ?? known)) ?? (left.includes(content ?? '') ? content : undefined)
    left = left.filter((other) => other !== column)
    return [named, column] as const
  })
  return Object.fromEntries(likely.filter(([named]) => named !== ''))
}

/** These columns by their options: `--text review --label stars`; null if none is likely. */
export const likelyColumns = (...asked: Parameters<typeof matchColumns>): Words | null => {
  const likely = Object.entries(matchColumns(...asked)).flatMap(([named, column]) =>
    column === undefined ? [] : [words`${option(named)} ${/^[\w.-]+$/.test(column) ? column : JSON.stringify(column)}`],
  )
  return likely.length === 0 ? null : joined(likely, ' ')
}

/** Columns of rows that are no texts with labels, any of these, and how they are trained on. */
const ofOtherTasks: readonly (readonly [columns: readonly (readonly string[])[], remedy: Words])[] = [
  [
    [['messages'], ['conversations'], ['instruction', 'output'], ['instruction', 'response'], ['prompt', 'completion']],
    words`for conversations and instructions, give this file by ${option('data')}, with ${option('task')} alpaca`,
  ],
  [[['chosen', 'rejected']], words`for pairs of answers, give this file by ${option('data')}, with ${option('task')} preference`],
  [
    [['question', 'choices', 'answer']],
    words`for questions with choices, give this file by ${option('data')}, with ${option('task')} choice`,
  ],
  [
    ['tokens', 'words'].flatMap((texts) => ['ner_tags', 'tags'].map((tags) => [texts, tags])),
    words`for words with tags, add ${option('problemType')} token-classification`,
  ],
]

/** What was probably meant, in words; empty if nothing is likely. */
const suggestion = (names: readonly string[], requested: readonly RequestedColumn[], byContent?: ByOption): Text => {
  const other = ofOtherTasks.find(([files]) => files.some((columns) => columns.every((column) => names.includes(column))))
  if (other !== undefined) return words` (${other[1]})`
  const likely = likelyColumns(names, requested, byContent)
  return likely === null ? '' : words` (did you mean ${likely}?)`
}

/** A file lacks a column. Where no name tells which one was meant, its rows may. */
export class MissingColumn extends InputError {
  /** The error with the columns that were probably meant. @param byContent of a text and of a label */
  readonly proposed: (byContent: ByOption) => InputError

  constructor(where: string, names: readonly string[], requested: readonly RequestedColumn[], missing: RequestedColumn) {
    const describe = (byContent?: ByOption): Words => words`${describeColumns(names)}${suggestion(names, requested, byContent)}`
    super(where, columnExpected(missing), describe())
    this.proposed = (byContent) => inputError(where, columnExpected(missing), describe(byContent))
    Object.defineProperty(this, 'proposed', { enumerable: false })
  }
}

/** @throws InputError for the first requested column that is missing, with those that are there and those that were probably meant */
export const checkColumns = (where: string, names: readonly string[], requested: readonly RequestedColumn[]): void => {
  const missing = requested.find(({ name, optional }) => optional !== true && findColumn(names, name) === undefined)
  if (missing !== undefined) throw new MissingColumn(where, names, requested, missing)
  const twice = requested.find(({ name }, i) => {
    const actual = findColumn(names, name)
    return actual !== undefined && requested.findIndex((other) => findColumn(names, other.name) === actual) !== i
  })
  if (twice !== undefined)
    throw inputError(where, 'different columns for text, text pair and label', `${quoted(findColumn(names, twice.name) ?? '')} for two`)
}
