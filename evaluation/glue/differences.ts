/** How rows of a sweep differ from its baseline: pairs of the same task and seed, task by task, then over all tasks. */
import { mean } from 'simple-statistics'
import type { GlueName } from '../../finetuning/data/glueTasks.js'
import { clusteredDifference, tInterval, type ClusteredDifference, type Interval } from './statistics.js'

/** A row minus the baseline on one task, in percentage points. */
export type Difference = {
  readonly row: string
  readonly task: GlueName
  readonly pairs: number
  readonly mean: number
  /** 95 % t interval over seeds; null for a single pair */
  readonly interval: Interval | null
}

/** A row minus the baseline over all tasks, with an error clustered by task. */
export type OverallDifference = Omit<ClusteredDifference, 'effects'> & { readonly row: string; readonly tasks: number }

type ComparedRow = {
  readonly name: string
  readonly cells: ReadonlyArray<{ readonly task: GlueName; readonly values: Readonly<Record<string, number>> }>
}

export type Differences = { readonly differences: ReadonlyArray<Difference>; readonly overall: ReadonlyArray<OverallDifference> }

export const differencesFrom = (baseline: ComparedRow, rows: ReadonlyArray<ComparedRow>): Differences => {
  const others = rows.filter(({ name }) => name !== baseline.name).map((row) => ({ row: row.name, byTask: pairedByTask(row, baseline) }))
  return {
    differences: others.flatMap(({ row, byTask }) =>
      byTask.map(({ task, pairs }) => ({ row, task, pairs: pairs.length, mean: mean([...pairs]), interval: tInterval(pairs) })),
    ),
    overall: others.flatMap(({ row, byTask }) => {
      const difference = clusteredDifference(byTask.map(({ pairs }) => pairs))
      if (difference === null || byTask.length < 2) return []
      const { effects, ...rest } = difference
      return [{ row, tasks: effects.length, ...rest }]
    }),
  }
}

/** Differences of runs with the same seed, by task; only tasks with at least one pair. */
const pairedByTask = (
  row: ComparedRow,
  baseline: ComparedRow,
): ReadonlyArray<{ readonly task: GlueName; readonly pairs: ReadonlyArray<number> }> =>
  row.cells.flatMap(({ task, values }) => {
    const other = baseline.cells.find((cell) => cell.task === task)?.values ?? {}
    const pairs = Object.entries(values).flatMap(([seed, value]) => (other[seed] === undefined ? [] : [value - other[seed]]))
    return pairs.length === 0 ? [] : [{ task, pairs }]
  })
