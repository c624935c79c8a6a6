/** Scores and costs: one row for each series, and one for each run. */
import { mean } from 'simple-statistics'
import { summaryOf } from '../../../evaluation/glue/statistics.js'
import { escapeText } from '../../charts/escapeText.js'
import { lastScore, type Series } from '../../charts/series.js'
import type { Cell } from '../../charts/table.js'
import type { FinishedRun } from '../../discovery/collectRuns.js'
import type { ReportTable } from './reportTable.js'

const meanOf = (values: ReadonlyArray<number>): number | null => (values.length === 0 ? null : mean([...values]))

const trainedParameters = ({ result: { trainableParameters } }: FinishedRun): { readonly method: number; readonly head: number } => {
  const { head = 0, ...others } = trainableParameters
  return { method: Object.values(others).reduce((a, b) => a + b, 0), head }
}

/** Columns by name, so that a heading and its values cannot get out of step. */
type Columns<Row> = ReadonlyArray<readonly [heading: string, cellOf: (row: Row) => Cell]>

const tableFrom = <Row>(columns: Columns<Row>, rows: ReadonlyArray<Row>) => ({
  columns: columns.map(([heading]) => heading),
  rows: rows.map((row) => columns.map(([, cellOf]) => cellOf(row))),
})

type SummarizedSeries = Series & {
  readonly summary: ReturnType<typeof summaryOf>
  readonly trained: { readonly method: number | null; readonly head: number | null }
}

const summarize = (series: Series): SummarizedSeries => {
  const [first] = series.runs
  return {
    ...series,
    summary: summaryOf(series.runs.flatMap(({ result }) => lastScore(result, series.metric) ?? [])),
    trained: first === undefined ? { method: null, head: null } : trainedParameters(first),
  }
}

const seriesColumns: Columns<SummarizedSeries> = [
  ['task', ({ task }) => task],
  ['series', ({ label }) => label],
  ['runs', ({ runs }) => runs.length],
  ['metric', ({ metric }) => metric],
  ['mean', ({ summary }) => summary?.mean ?? null],
  ['max deviation', ({ summary }) => summary?.maximumDeviation ?? null],
  ['95% from', ({ summary }) => summary?.interval?.[0] ?? null],
  ['95% to', ({ summary }) => summary?.interval?.[1] ?? null],
  ['method parameters', ({ trained }) => trained.method],
  ['head parameters', ({ trained }) => trained.head],
  ['retained density', ({ runs }) => meanOf(runs.flatMap(({ result }) => result.retainedDensity ?? []))],
  ['seconds', ({ runs }) => meanOf(runs.map(({ result }) => result.seconds))],
  ['peak memory (bytes)', ({ runs }) => Math.max(...runs.map(({ result }) => result.peakMemoryBytes))],
]

export const seriesTable = (series: ReadonlyArray<Series>): ReportTable => ({
  name: 'scores',
  title: 'Scores and costs',
  caption:
    'Runs that differ only in their seed form a series. Scores are from the last evaluation: mean over runs, largest deviation from it, and the 95% t interval of the mean.',
  table: tableFrom(seriesColumns, series.map(summarize)),
})

type RunOfSeries = FinishedRun & { readonly series: Series }

const runColumns: Columns<RunOfSeries> = [
  ['run', ({ name }) => escapeText(name)],
  ['task', ({ series }) => series.task],
  ['series', ({ series }) => series.label],
  ['seed', ({ result }) => result.seed],
  ['metric', ({ series }) => series.metric],
  ['last', ({ result, series }) => lastScore(result, series.metric)],
  ['last step', ({ result }) => result.last.step],
  ['best', ({ result, series }) => result.best?.scores[series.metric] ?? null],
  ['best step', ({ result }) => result.best?.step ?? null],
  ['test', ({ result, series }) => result.test?.scores[series.metric] ?? null],
  ['status', ({ result }) => (result.interrupted ? 'interrupted' : 'finished')],
  ['target density', ({ result }) => result.targetDensity ?? null],
  ['expected density', ({ result }) => result.expectedDensity ?? null],
  ['retained density', ({ result }) => result.retainedDensity ?? null],
  ['retained parameters', ({ result }) => result.retainedParameters ?? null],
  ['lambda', ({ result }) => result.lambda ?? null],
  ['seconds', ({ result }) => result.seconds],
  ['peak memory (bytes)', ({ result }) => result.peakMemoryBytes],
  ['device', ({ result }) => escapeText(result.device)],
  ['precision', ({ result }) => (result.precision === undefined ? null : escapeText(result.precision))],
]

export const runsTable = (series: ReadonlyArray<Series>): ReportTable => ({
  name: 'runs',
  title: 'Runs',
  caption: 'The numbers of each result.json.',
  folded: true,
  table: tableFrom(
    runColumns,
    series.flatMap((one) => one.runs.map((run) => ({ ...run, series: one }))),
  ),
})
