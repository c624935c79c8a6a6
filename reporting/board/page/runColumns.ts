/** The columns of a list of runs, and the order that each gives to the runs. */
import { runStatuses, type ListedRun } from '../events.js'
import { progressOf } from './format.js'

export type SortOrder = { readonly column: string; readonly isDescending: boolean }

type SortKey = string | number | null
type Column = { readonly title: string; readonly isNumeric: boolean; readonly keyOf: (line: ListedRun) => SortKey }

export const runColumns: ReadonlyArray<Column> = [
  { title: 'run', isNumeric: false, keyOf: ({ name }) => name },
  { title: 'status', isNumeric: false, keyOf: ({ status }) => runStatuses.indexOf(status) },
  { title: 'step', isNumeric: false, keyOf: (line) => (line.id === null ? null : progressOf(line)) },
  { title: 'time left', isNumeric: true, keyOf: (line) => (line.id === null ? null : line.secondsLeft) },
  { title: 'loss', isNumeric: true, keyOf: (line) => (line.id === null ? null : line.loss) },
  { title: 'score', isNumeric: true, keyOf: (line) => (line.id === null ? null : (line.score?.value ?? null)) },
  { title: 'tokens/s', isNumeric: true, keyOf: (line) => (line.id === null ? null : line.tokensPerSecond) },
]

/** Equal runs keep their order. Runs without a value are last, or first in descending order. */
export const sortLines = (lines: ReadonlyArray<ListedRun>, { column, isDescending }: SortOrder): ReadonlyArray<ListedRun> => {
  const keyOf = runColumns.find(({ title }) => title === column)?.keyOf ?? (() => null)
  const sign = isDescending ? -1 : 1
  return lines
    .map((line) => ({ line, key: keyOf(line) }))
    .sort((a, b) => sign * compareKeys(a.key, b.key))
    .map(({ line }) => line)
}

const collator = new Intl.Collator('en', { numeric: true })

const compareKeys = (a: SortKey, b: SortKey): number => {
  if (a === null || b === null) return Number(a === null) - Number(b === null)
  return typeof a === 'string' || typeof b === 'string' ? collator.compare(String(a), String(b)) : a - b
}
