/**
 * Facts about a dataset that decide whether training on it makes sense: classes, duplicates, contradictions, lengths.
 * The folder inspection/ looks at data before a run; it changes nothing. Reading files is ../data.
 */
import type { Dataset, Example, FileRows } from '../data/index.js'
import { conversationIn } from '../data/conversations.js'
import { firstRows } from '../data/textKeys.js'
import { parseTag } from '../tasks/tokenClassification/metrics.js'

export type ClassCount = { readonly label: string; readonly rows: number }

export type DataFacts = {
  readonly source: string
  readonly rows: number
  /** The files of a mixture; null: one file. `drawn`: rows in an epoch */
  readonly files: readonly FileRows[] | null
  readonly skipped: number
  /** Rows of each class, in the order of the classes; null: there are none. */
  readonly classes: readonly ClassCount[] | null
  /** Whether the labels are sets (multi-label): a row counts in each of its classes, or in none. */
  readonly hasLabelSets: boolean
  /** Entities of each type, in token classification, whose classes are not those of rows; null for other tasks. */
  readonly entities: readonly ClassCount[] | null
  /** Of a regression; null for other tasks. */
  readonly scores: { readonly least: number; readonly median: number; readonly most: number } | null
  /** Rows whose text (and second text) an earlier row has. */
  readonly duplicates: number
  /** Texts with more than one label, and the first two rows that contradict each other. */
  readonly contradictions: { readonly texts: number; readonly first: readonly [number, number] | null }
  /** Labels that are read as one class, such as 1 and 1.0. */
  readonly merged: readonly (readonly string[])[]
  /** null: not measured */
  readonly lengths: LengthFacts | null
}

export type LengthFacts = {
  readonly unit: 'tokens' | 'words'
  /** Nearest-rank percentiles: p95 is the least length that 95 % of the texts do not exceed. */
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly longest: number
  /** null: nothing truncates the texts */
  readonly truncated: TruncationFacts | null
}

/** `wholeExchanges`: conversations among the texts that lose whole exchanges alone; the others lose tokens. Absent: all lose tokens */
export type TruncationFacts = { readonly texts: number; readonly maxLength: number; readonly wholeExchanges?: number }

/** @param keys one per example (data/textKeys.ts) @param hasScores whether labels are numbers, not classes */
export const dataFacts = (dataset: Dataset, keys: BigUint64Array, hasScores = false): DataFacts => {
  const { source, examples, labelNames, skipped, mergedLabels = [] } = dataset
  const isTagged = examples[0]?.words !== undefined
  return {
    source,
    rows: examples.length,
    files: dataset.files ?? null,
    skipped: skipped.length,
    classes: labelNames === null || isTagged ? null : countClasses(labelNames, examples),
    hasLabelSets: !isTagged && examples[0]?.labels !== undefined,
    entities: labelNames === null || !isTagged ? null : entityCounts(labelNames, examples),
    scores: hasScores && Number.isFinite(examples[0]?.label) ? summarizeScores(examples) : null,
    ...repetitions(examples, keys),
    merged: mergedLabels,
    lengths: null,
  }
}

const countClasses = (labelNames: readonly string[], examples: readonly Example[]): readonly ClassCount[] => {
  const counts = new Array<number>(labelNames.length).fill(0)
  for (const { label, labels } of examples) for (const at of labels ?? [label]) counts[at] = (counts[at] ?? 0) + 1
  return labelNames.map((label, i) => ({ label, rows: counts[i] ?? 0 }))
}

/** Tags are read as IOB2, where each entity begins with a tag of its own. */
const entityCounts = (labelNames: readonly string[], examples: readonly Example[]): readonly ClassCount[] =>
  countClasses(labelNames, examples).flatMap(({ label, rows }) => {
    const { kind, type } = parseTag(label)
    return kind === 'begin' ? [{ label: type, rows }] : []
  })

const summarizeScores = (examples: readonly Example[]): DataFacts['scores'] => {
  const sorted = Float64Array.from(examples, ({ label }) => label).sort()
  return { least: sorted[0] ?? NaN, median: percentile(sorted, 50), most: sorted.at(-1) ?? NaN }
}

const toLabelKey = ({ label, labels, words }: Example): string | number => {
  if (labels === undefined) return label
  return (words === undefined ? [...labels].sort((a, b) => a - b) : labels).join(',')
}

const repetitions = (examples: readonly Example[], keys: BigUint64Array): Pick<DataFacts, 'duplicates' | 'contradictions'> => {
  const firstRow = firstRows(keys)
  const contradicted = new Set<number>()
  let duplicates = 0
  let first: readonly [number, number] | null = null
  examples.forEach((example, i) => {
    const at = firstRow(keys, i)
    const earlier = examples[at]
    if (at === i || earlier === undefined || earlier === example) return // a mixture repeats examples
    duplicates++
    if (Object.is(toLabelKey(earlier), toLabelKey(example))) return // NaN: rows without labels
    contradicted.add(at)
    first ??= [earlier.row, example.row]
  })
  return { duplicates, contradictions: { texts: contradicted.size, first } }
}

/** A key per row of each set (data/textKeys.ts). */
export type RowKeys = { readonly training: BigUint64Array; readonly evaluation: BigUint64Array; readonly test: BigUint64Array }

/** How many of `keys` are among those of another set. */
export const sharedTexts = (keys: BigUint64Array, others: BigUint64Array): number => {
  const firstRow = firstRows(others)
  let shared = 0
  for (let i = 0; i < keys.length; i++) if (firstRow(keys, i) !== -1) shared++
  return shared
}

/** The nearest-rank percentile of ascending numbers. */
const percentile = (sorted: ArrayLike<number>, percent: number): number =>
  sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? NaN

/** Percentiles of lengths, of at least one text. */
export const lengthFacts = (
  lengths: Int32Array,
  unit: LengthFacts['unit'],
  truncated: LengthFacts['truncated'] = null,
): LengthFacts | null => {
  if (lengths.length === 0) return null
  const sorted = lengths.slice().sort()
  const [p50, p90, p95, p99] = [50, 90, 95, 99].map((percent) => percentile(sorted, percent))
  return { unit, p50: p50 ?? 0, p90: p90 ?? 0, p95: p95 ?? 0, p99: p99 ?? 0, longest: sorted.at(-1) ?? 0, truncated }
}

/** Words between blanks: the lengths where no model names its tokens. @param areChats texts are conversations as JSON, whose contents count */
export const wordLengths = (examples: readonly Example[], areChats: boolean): Int32Array =>
  Int32Array.from(examples, ({ text, textPair = '' }) =>
    (areChats ? conversationIn(text).turns.map(({ content }) => content) : [text, textPair]).reduce((sum, one) => sum + wordsIn(one), 0),
  )

const wordsIn = (text: string): number => {
  let count = 0
  for (const _ of text.matchAll(/\S+/g)) count++
  return count
}
