/** The table of a sweep as data: rows by tasks over seeds, what each row costs, and how rows differ from the baseline. */
import { group } from 'd3-array'
import { mean } from 'simple-statistics'
import { z } from 'zod'
import { GLUE_NAMES, GLUE_TASKS, type GlueName } from '../../finetuning/data/glueTasks.js'
import { secondSetMetric } from '../../finetuning/metrics/index.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { type Cell, reportedScores, findScore, type Reported } from './sweep.js'
import type { CellOutcome } from '../jobs/executor.js'
import { type PaperScore, paperScore } from './paper.js'
import { clusteredDifference, summarizeValues, tInterval } from './statistics.js'
import type { PlannedCell, SweepPlan } from './plan.js'

const text = z.string().max(10_000)
const task = z.enum(GLUE_NAMES)
/** JSON writes NaN, the score of a run without one, as null. */
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? NaN)
const interval = z.tuple([number, number]).readonly()
const count = z.int().min(0)
const summary = z.object({ count, mean: number, maximumDeviation: number, median: number, interval: interval.nullable() })

const tableCell = z.object({
  task,
  /** by seed, in percent */
  values: z.record(text, number),
  summary: summary.nullable(),
  /** of the task's second evaluation set (MNLI's mismatched sentences); absent for other tasks */
  second: z.object({ name: text, values: z.record(text, number), summary }).exactOptional(),
  paper: z.object({ mean: z.number(), maximumDeviation: z.number().nullable() }).nullable(),
  /** error messages of the failed runs */
  failures: z.array(text).max(1000).readonly(),
  /** SaLoRA's retained share, mean over seeds; null for methods without gates */
  retained: z.number().nullable(),
})

const tableRow = z.object({
  name: text,
  cells: z.array(tableCell).max(100).readonly(),
  /** mean over tasks of the means; null until every task has one */
  average: z.number().nullable(),
  /** trained parameters in the first finished run: the method's and the head's */
  parameters: z.object({ method: count, head: count }).nullable(),
  /** mean over all runs */
  seconds: z.number().nullable(),
  /** largest of all runs */
  peakMemoryBytes: z.number().nullable(),
})

/** A row minus the baseline on one task, in percentage points; the interval is a 95 % t interval over seeds, null for a single pair. */
const difference = z.object({ row: text, task, pairs: count, mean: number, interval: interval.nullable() })

/** A row minus the baseline over all tasks, with an error clustered by task. */
const overallDifference = z.object({
  ...{ row: text, tasks: count, pairs: count, mean: number },
  ...{ standardError: z.number().nullable(), interval: interval.nullable() },
})

/** The table as sweep.json has it. */
export const sweepTableSchema = z.object({
  title: text,
  reported: z.enum(['last', 'best']),
  tasks: z
    .array(z.object({ task, metric: text }))
    .max(100)
    .readonly(),
  rows: z.array(tableRow).max(10_000).readonly(),
  baseline: text.nullable(),
  differences: z.array(difference).max(100_000).readonly(),
  overall: z.array(overallDifference).max(10_000).readonly().default([]),
})

export type TableCell = Readonly<z.infer<typeof tableCell>>
export type TableRow = Readonly<z.infer<typeof tableRow>>
export type SweepTable = Readonly<z.infer<typeof sweepTableSchema>>

/** A cell and how it ended. */
export type EndedCell = { readonly cell: Cell; readonly outcome: CellOutcome }
type TabulatedCell = { readonly cell: Pick<Cell, 'row' | 'task' | 'seed'>; readonly outcome: CellOutcome }

export type TableOptions = {
  readonly title: string
  readonly reported: Reported
  /** the row that others are compared with; null, or a name that no row has: no comparison */
  readonly baseline: string | null
  readonly paper: (row: string, task: GlueName) => PaperScore | null
}

export const sweepTable = (ended: readonly TabulatedCell[], options: TableOptions): SweepTable => {
  const { title, reported } = options
  const tasks = [...new Set(ended.map(({ cell }) => cell.task))]
  const rows = [...group(ended, ({ cell }) => cell.row)].map(([name, ofRow]) => buildRow(name, tasks, ofRow, options))
  const baseline = rows.find(({ name }) => name === options.baseline)
  return {
    title,
    reported,
    tasks: tasks.map((task) => ({ task, metric: GLUE_TASKS[task].paperMetric })),
    rows,
    baseline: baseline?.name ?? null,
    ...(baseline === undefined ? { differences: [], overall: [] } : differencesFrom(baseline, rows)),
  }
}

const buildRow = (name: string, tasks: readonly GlueName[], ended: readonly TabulatedCell[], options: TableOptions): TableRow => {
  const results = ended.flatMap(({ outcome }) => (outcome.kind === 'done' ? [outcome.result] : []))
  const byTask = group(ended, ({ cell }) => cell.task)
  const cells = tasks.map((task) => buildCell(name, task, byTask.get(task) ?? [], options))
  const means = cells.flatMap(({ summary }) => summary?.mean ?? [])
  const [first] = results
  const { head = 0, ...others } = first?.trainableParameters ?? {}
  return {
    name,
    cells,
    average: means.length === tasks.length ? mean(means) : null,
    parameters: first === undefined ? null : { method: Object.values(others).reduce((a, b) => a + b, 0), head },
    seconds: results.length === 0 ? null : mean(results.map(({ seconds }) => seconds)),
    peakMemoryBytes: results.length === 0 ? null : Math.max(...results.map(({ peakMemoryBytes }) => peakMemoryBytes)),
  }
}

type SeedResult = { readonly seed: number; readonly result: RunResult }

const buildCell = (row: string, task: GlueName, ended: readonly TabulatedCell[], { reported, paper }: TableOptions): TableCell => {
  const done = ended.flatMap(({ cell, outcome }): readonly SeedResult[] =>
    outcome.kind === 'done' ? [{ seed: cell.seed, result: outcome.result }] : [],
  )
  const retained = done.flatMap(({ result }) => result.retainedDensity ?? [])
  const second = secondScores(task, reported, done)
  const values = Object.fromEntries(done.map(({ seed, result }) => [String(seed), findScore(task, reported, result)]))
  return {
    task,
    values,
    summary: summarizeValues(Object.values(values)),
    ...(second === undefined ? {} : { second }),
    paper: paper(row, task),
    failures: ended.flatMap(({ outcome }) => (outcome.kind === 'failed' ? [outcome.message] : [])),
    retained: retained.length === 0 ? null : mean(retained),
  }
}

/** Scores on the task's second evaluation set; undefined if no run has one. */
const secondScores = (task: GlueName, reported: Reported, done: readonly SeedResult[]): TableCell['second'] => {
  const { second, paperMetric } = GLUE_TASKS[task]
  if (second === undefined) return undefined
  const values = done.flatMap(({ seed, result }) => {
    const score = reportedScores(reported, result)[secondSetMetric(second.name, paperMetric)]
    return score === undefined ? [] : [[String(seed), 100 * score] as const]
  })
  const summary = summarizeValues(values.map(([, value]) => value))
  return summary === null ? undefined : { name: second.name, values: Object.fromEntries(values), summary }
}

// How rows of a sweep differ from its baseline: pairs of the same task and seed, task by task, then over all tasks.
type ComparedRow = {
  readonly name: string
  readonly cells: readonly { readonly task: GlueName; readonly values: Readonly<Record<string, number>> }[]
}

type Differences = Pick<SweepTable, 'differences' | 'overall'>

const differencesFrom = (baseline: ComparedRow, rows: readonly ComparedRow[]): Differences => {
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
const pairedByTask = (row: ComparedRow, baseline: ComparedRow): readonly { readonly task: GlueName; readonly pairs: readonly number[] }[] =>
  row.cells.flatMap(({ task, values }) => {
    const other = baseline.cells.find((cell) => cell.task === task)?.values ?? {}
    const pairs = Object.entries(values).flatMap(([seed, value]) => (other[seed] === undefined ? [] : [value - other[seed]]))
    return pairs.length === 0 ? [] : [{ task, pairs }]
  })

/** The table of a plan from the cells that are done so far. */
export const partialTable = (
  { sweep, title, reported, baseline, paper }: Omit<SweepPlan, 'stage' | 'cells'>,
  ended: readonly { readonly cell: PlannedCell; readonly outcome: CellOutcome }[],
): SweepTable =>
  sweepTable(ended, {
    title,
    reported,
    baseline,
    paper: (row, task) => (paper === null ? null : paperScore(sweep, row, task, paper)),
  })
