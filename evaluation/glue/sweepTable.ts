/** The table of a sweep: rows by tasks over seeds, with what each costs and how rows differ pair by pair; as Markdown, CSV and LaTeX. */
import { mean } from 'simple-statistics'
import { oneLine } from '../../accelerated/errors/inputError.js'
import { GLUE_TASKS, type GlueName } from '../../finetuning/data/glueTasks.js'
import { secondSetMetric } from '../../finetuning/metrics/index.js'
import type { RunResult, Scores } from '../../finetuning/runs/run.js'
import { csvLine, latexText, markdownLine } from '../tables/tableText.js'
import type { Cell } from './cell.js'
import type { PaperScore } from './paperTables.js'
import { bootstrapInterval, summaryOf, type Summary } from './statistics.js'
import type { CellOutcome } from './executor.js'

/** Which evaluation is told: the last, or the best, which is chosen on the data that it is reported on. */
export type Reported = 'last' | 'best'

export type TableCell = {
  readonly task: GlueName
  /** by seed, in percent */
  readonly values: Readonly<Record<string, number>>
  readonly summary: Summary | null
  /** of the second set that the task is also scored on, MNLI's mismatched sentences; absent where there is none */
  readonly second?: { readonly name: string; readonly values: Readonly<Record<string, number>>; readonly summary: Summary }
  readonly paper: PaperScore | null
  /** what ended the runs that have no value */
  readonly failures: ReadonlyArray<string>
  /** SaLoRA's retained share, mean over seeds; null for what has none */
  readonly retained: number | null
}

export type TableRow = {
  readonly name: string
  readonly cells: ReadonlyArray<TableCell>
  /** mean over tasks of the means; null while a task has none */
  readonly average: number | null
  /** trained numbers of the first task: the method's own, and the head's */
  readonly parameters: { readonly method: number; readonly head: number } | null
  /** of a run, mean over all */
  readonly seconds: number | null
  readonly peakMemoryBytes: number | null
}

/** How much better a row is than the baseline, seed by seed. */
export type Difference = {
  readonly row: string
  readonly task: GlueName
  readonly pairs: number
  readonly mean: number
  readonly interval: readonly [number, number]
}

export type SweepTable = {
  readonly title: string
  readonly reported: Reported
  readonly tasks: ReadonlyArray<{ readonly task: GlueName; readonly metric: string }>
  readonly rows: ReadonlyArray<TableRow>
  readonly baseline: string | null
  readonly differences: ReadonlyArray<Difference>
}

export type Worked = { readonly cell: Cell; readonly outcome: CellOutcome }
/** What the table needs of it. */
type Tabled = { readonly cell: Pick<Cell, 'row' | 'task' | 'seed'>; readonly outcome: CellOutcome }

const scoresOf = (reported: Reported, { best, last }: Pick<RunResult, 'best' | 'last'>): Scores =>
  (reported === 'best' ? (best ?? last) : last).scores

/** In percent; Table 1's metric of the task. */
export const scoreOf = (task: GlueName, reported: Reported, result: Pick<RunResult, 'best' | 'last'>): number =>
  100 * (scoresOf(reported, result)[GLUE_TASKS[task].paperMetric] ?? NaN)

/** As `scoreOf`, of the task's second set, by seed; absent where no run has one. */
const secondOf = (
  task: GlueName,
  reported: Reported,
  done: ReadonlyArray<{ readonly seed: number; readonly result: RunResult }>,
): TableCell['second'] => {
  const { second, paperMetric } = GLUE_TASKS[task]
  if (second === undefined) return undefined
  const values = done.flatMap(({ seed, result }) => {
    const score = scoresOf(reported, result)[secondSetMetric(second.name, paperMetric)]
    return score === undefined ? [] : [[String(seed), 100 * score] as const]
  })
  const summary = summaryOf(values.map(([, value]) => value))
  return summary === null ? undefined : { name: second.name, values: Object.fromEntries(values), summary }
}

export type TableOptions = {
  readonly title: string
  readonly reported: Reported
  /** the row that others are compared with; null or absent among the rows: none */
  readonly baseline: string | null
  readonly paper: (row: string, task: GlueName) => PaperScore | null
}

export const sweepTable = (worked: ReadonlyArray<Tabled>, { title, reported, baseline, paper }: TableOptions): SweepTable => {
  const tasks = [...new Set(worked.map(({ cell }) => cell.task))]
  const names = [...new Set(worked.map(({ cell }) => cell.row))]
  const rows = names.map((name) => rowOf(name, tasks, worked, reported, paper))
  const known = names.includes(baseline ?? '') ? baseline : null
  return {
    title,
    reported,
    tasks: tasks.map((task) => ({ task, metric: GLUE_TASKS[task].paperMetric })),
    rows,
    baseline: known,
    differences: rows.filter(({ name }) => known !== null && name !== known).flatMap((row) => differencesOf(row, rows, known ?? '')),
  }
}

const rowOf = (
  name: string,
  tasks: ReadonlyArray<GlueName>,
  worked: ReadonlyArray<Tabled>,
  reported: Reported,
  paper: TableOptions['paper'],
): TableRow => {
  const own = worked.filter(({ cell }) => cell.row === name)
  const results = own.flatMap(({ outcome }) => (outcome.kind === 'done' ? [outcome.result] : []))
  const cells = tasks.map((task): TableCell => {
    const here = own.filter(({ cell }) => cell.task === task)
    const done = here.flatMap(({ cell, outcome }) => (outcome.kind === 'done' ? [{ seed: cell.seed, result: outcome.result }] : []))
    const retained = done.flatMap(({ result }) => (result.retainedDensity == null ? [] : [result.retainedDensity]))
    const second = secondOf(task, reported, done)
    const values = Object.fromEntries(done.map(({ seed, result }) => [String(seed), scoreOf(task, reported, result)]))
    return {
      task,
      values,
      summary: summaryOf(Object.values(values)),
      ...(second === undefined ? {} : { second }),
      paper: paper(name, task),
      failures: here.flatMap(({ outcome }) => (outcome.kind === 'failed' ? [outcome.message] : [])),
      retained: retained.length === 0 ? null : mean(retained),
    }
  })
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

const differencesOf = (row: TableRow, rows: ReadonlyArray<TableRow>, baseline: string): ReadonlyArray<Difference> =>
  row.cells.flatMap(({ task, values }) => {
    const other = rows.find(({ name }) => name === baseline)?.cells.find((cell) => cell.task === task)?.values ?? {}
    const pairs = Object.entries(values).flatMap(([seed, value]) => (other[seed] === undefined ? [] : [value - other[seed]]))
    return pairs.length === 0 ? [] : [{ row: row.name, task, pairs: pairs.length, mean: mean(pairs), interval: bootstrapInterval(pairs) }]
  })

const spread = ({ mean: center, maximumDeviation }: { readonly mean: number; readonly maximumDeviation: number | null }): string =>
  maximumDeviation === null ? center.toFixed(2) : `${center.toFixed(2)} ± ${maximumDeviation.toFixed(2)}`

const textOf = ({ summary, second, paper, failures, retained }: TableCell): string => {
  const apart = second === undefined ? '' : ` / ${spread(second.summary)}`
  const own = summary === null ? (failures.length > 0 ? 'failed' : '–') : `${spread(summary)}${apart}`
  const failed = summary !== null && failures.length > 0 ? ` (${failures.length} failed)` : ''
  const kept = retained === null ? '' : `, kept ${retained.toFixed(2)}`
  return `${own}${kept}${failed}${paper === null ? '' : ` [${spread(paper)}]`}`
}

const millions = (count: number): string => `${(count / 1e6).toFixed(2)} M`

/** Where a task is scored on a second set, what the two numbers of its cells are of. */
const scoredOn = ({ rows }: SweepTable, task: GlueName): string => {
  const second = rows.flatMap(({ cells }) => cells).find((cell) => cell.task === task && cell.second !== undefined)?.second
  return second === undefined ? '' : `; after the stroke: ${second.name}`
}

export const tableHeader = (table: SweepTable): ReadonlyArray<string> => [
  '',
  'parameters',
  'head',
  ...table.tasks.map(({ task, metric }) => `${task} (${metric}${scoredOn(table, task)})`),
  'average',
  'seconds a run',
  'peak memory',
]

export const tableLine = ({ name, parameters, cells, average, seconds, peakMemoryBytes }: TableRow): ReadonlyArray<string> => [
  name,
  parameters === null ? '–' : millions(parameters.method),
  parameters === null ? '–' : millions(parameters.head),
  ...cells.map(textOf),
  average?.toFixed(2) ?? '–',
  seconds?.toFixed(0) ?? '–',
  peakMemoryBytes === null ? '–' : `${(peakMemoryBytes / 1e9).toFixed(2)} GB`,
]

/** What the table is of, then mean ± maximum deviation over seeds, the share that a method with gates kept, the paper's score in brackets; then how rows differ from the baseline. */
export const markdownTable = (table: SweepTable): string => {
  const head = tableHeader(table)
  const own = `${oneLine(table.title)}\n\n${[head, head.map(() => '---'), ...table.rows.map(tableLine)].map(markdownLine).join('')}`
  if (table.differences.length === 0) return own
  const columns = ['', 'task', `minus ${table.baseline}`, '95 % of resampled means', 'pairs']
  const rows = table.differences.map(({ row, task, mean: by, interval: [low, high], pairs }) => [
    row,
    task,
    by.toFixed(2),
    `${low.toFixed(2)} … ${high.toFixed(2)}`,
    String(pairs),
  ])
  return `${own}\n${[columns, columns.map(() => '---'), ...rows].map(markdownLine).join('')}`
}

/** One line a row and task, for programs. */
export const csvTable = ({ rows, tasks }: SweepTable): string => {
  const columns = [
    'row',
    'task',
    'metric',
    'seeds',
    'mean',
    'maximum deviation',
    'median',
    'low',
    'high',
    'parameters',
    'head',
    'seconds',
    'peak memory',
    'retained',
    'failed',
    'paper',
  ]
  const lines = rows.flatMap(({ name, cells, parameters, seconds, peakMemoryBytes }) =>
    cells.flatMap(({ task, summary, second, failures, retained, paper }, i) => {
      const line = (scored: string, of: Summary | null, published: PaperScore | null) => [
        name,
        scored,
        tasks[i]?.metric ?? '',
        of?.count ?? 0,
        of?.mean,
        of?.maximumDeviation,
        of?.median,
        of?.interval[0],
        of?.interval[1],
        parameters?.method,
        parameters?.head,
        seconds,
        peakMemoryBytes,
        retained,
        failures.length,
        published?.mean,
      ]
      return [line(task, summary, paper), ...(second === undefined ? [] : [line(`${task} ${second.name}`, second.summary, null)])]
    }),
  )
  return [columns, ...lines].map(csvLine).join('')
}

const latexSpread = ({ mean: center, maximumDeviation }: Summary): string => `${center.toFixed(2)}$_{\\pm ${maximumDeviation.toFixed(2)}}$`

/** In the form of Table 1, for booktabs; what it is of as a comment. */
export const latexTable = (table: SweepTable): string =>
  [
    `% ${oneLine(table.title)}`,
    `\\begin{tabular}{l r ${table.tasks.map(() => 'c').join(' ')} c}`,
    '\\toprule',
    `Method & \\# Parameters${table.tasks.map(({ task }) => ` & ${latexText(task)}`).join('')} & Avg \\\\`,
    '\\midrule',
    ...table.rows.map(
      ({ name, parameters, cells, average }) =>
        `${latexText(name)} & ${parameters === null ? '--' : millions(parameters.method).replace(' ', '\\,')}` +
        `${cells.map(({ summary, second }) => ` & ${summary === null ? '--' : [summary, ...(second === undefined ? [] : [second.summary])].map(latexSpread).join(' / ')}`).join('')}` +
        ` & ${average?.toFixed(2) ?? '--'} \\\\`,
    ),
    '\\bottomrule',
    '\\end{tabular}',
    '',
  ].join('\n')
