/** Scores and costs: one row for each series, and one for each run. The page has human units, and the CSV every digit. */
import { group } from 'd3-array'
import { mean } from 'simple-statistics'
import { summarizeValues, type Summary } from '../../evaluation/glue/statistics.js'
import { csvTable, type Cell } from '../../evaluation/tables/tableText.js'
import type { FinishedRun } from '../runs/collectRuns.js'
import { compareScores, savedStep, lastScore, savedScore } from '../runs/scores.js'
import type { Series } from '../runs/series.js'
import { escapeText } from '../text/html.js'
import { bytesText, countText, dateText, durationText, percentText, scoreText } from '../text/units.js'
import type { ReportTable } from './sections.js'

const meanOrNull = (values: readonly number[]): number | null => (values.length === 0 ? null : mean([...values]))

export const trainedParameters = ({ result: { trainableParameters } }: FinishedRun): { readonly method: number; readonly head: number } => {
  const { head = 0, ...others } = trainableParameters
  return { method: Object.values(others).reduce((a, b) => a + b, 0), head }
}

/** A column: its heading, its value with every digit, and its text for people (absent: the value). */
type Column<Row> = {
  readonly heading: string
  readonly value: (row: Row) => Cell
  readonly text?: (row: Row) => Cell
  /** whether the column is in the CSV only */
  readonly isDetail?: boolean
  /** whether the page shows the column only if its values differ */
  readonly isContext?: boolean
}

/** A column of numbers, which the page shows in words; null: a row has none. */
const measured = <Row>(
  heading: string,
  find: (row: Row) => number | null | undefined,
  inWords: (value: number, row: Row) => string,
): Column<Row> => ({
  heading,
  value: (row) => find(row) ?? null,
  text: (row) => formatOptional(find(row), (value) => inWords(value, row)),
})

const tablesFrom = <Row>(columns: readonly Column<Row>[], rows: readonly Row[]) => {
  const distinct = ({ value }: Column<Row>): number => new Set(rows.map(value)).size
  const shown = columns.filter(
    (column) =>
      column.isDetail !== true && rows.some((row) => column.value(row) !== null) && (column.isContext !== true || distinct(column) > 1),
  )
  return {
    table: {
      columns: shown.map(({ heading }) => heading),
      rows: rows.map((row) => shown.map(({ value, text = value }) => text(row))),
    },
    csv: csvTable({ columns: columns.map(({ heading }) => heading), rows: rows.map((row) => columns.map(({ value }) => value(row))) }),
  }
}

const formatOptional = <Value>(value: Value | null | undefined, text: (value: Value) => string): string | null =>
  value === null || value === undefined ? null : text(value)

type SummarizedSeries = Series & {
  readonly kept: number | null
  readonly last: Summary | null
  readonly trained: { readonly method: number | null; readonly head: number | null }
}

const summarize = (series: Series): SummarizedSeries => {
  const [first] = series.runs
  return {
    ...series,
    kept: meanOrNull(series.runs.flatMap(({ result }) => savedScore(result, series.metric) ?? [])),
    last: summarizeValues(series.runs.flatMap(({ result }) => lastScore(result, series.metric) ?? [])),
    trained: first === undefined ? { method: null, head: null } : trainedParameters(first),
  }
}

/** A single run has no deviation. */
const getDeviation = ({ last }: SummarizedSeries): number | null => (last === null || last.count < 2 ? null : last.maximumDeviation)
const meanRetained = ({ runs }: Series): number | null => meanOrNull(runs.flatMap(({ result }) => result.retainedDensity ?? []))
const meanSeconds = ({ runs }: Series): number | null => meanOrNull(runs.map(({ result }) => result.seconds))
const peakMemory = ({ runs }: Series): number => Math.max(...runs.map(({ result }) => result.peakMemoryBytes))

const intervalText = ({ last, metric }: SummarizedSeries): string | null =>
  formatOptional(last?.interval, ([low, high]) => `${scoreText(metric, low).replace(/ %$/, '')} – ${scoreText(metric, high)}`)

const seriesColumns: readonly Column<SummarizedSeries>[] = [
  { heading: 'task', value: ({ task }) => task, isContext: true },
  { heading: 'series', value: ({ label }) => label },
  { heading: 'runs', value: ({ runs }) => runs.length },
  { heading: 'metric', value: ({ metric }) => metric, isContext: true },
  measured(
    'kept',
    ({ kept }) => kept,
    (score, { metric }) => scoreText(metric, score),
  ),
  measured(
    'last',
    ({ last }) => last?.mean,
    (score, { metric }) => scoreText(metric, score),
  ),
  measured('max deviation', getDeviation, (deviation, { metric }) => `± ${scoreText(metric, deviation)}`),
  { heading: '95% from', value: ({ last }) => last?.interval?.[0] ?? null, isDetail: true },
  { heading: '95% to', value: ({ last }) => last?.interval?.[1] ?? null, isDetail: true },
  measured('method parameters', ({ trained }) => trained.method, countText),
  { heading: 'head parameters', value: ({ trained }) => trained.head, isDetail: true },
  measured('retained density', meanRetained, percentText),
  { heading: 'seconds', value: meanSeconds, isDetail: true },
  { heading: 'peak memory (bytes)', value: peakMemory, isDetail: true },
]

/** Columns of the page alone, in the order of the page. */
const seriesTexts: readonly Column<SummarizedSeries>[] = [
  { heading: '95 % interval', value: intervalText },
  { heading: 'time', value: (row) => formatOptional(meanSeconds(row), durationText) },
  { heading: 'peak memory', value: (row) => bytesText(peakMemory(row)) },
]

/** Within each task, the best kept score is first; a series without one is last. */
const bestFirst = (rows: readonly SummarizedSeries[]): readonly SummarizedSeries[] =>
  [...group(rows, ({ task }) => task).values()].flatMap((ofTask) =>
    ofTask.toSorted((a, b) =>
      a.kept === null || b.kept === null ? Number(a.kept === null) - Number(b.kept === null) : compareScores(a, b.kept, a.kept),
    ),
  )

export const seriesTable = (series: readonly Series[]): ReportTable => {
  const rows = bestFirst(series.map(summarize))
  const { csv } = tablesFrom(seriesColumns, rows)
  const hasSeveral = rows.some(({ runs }) => runs.length > 1)
  const hasFolds = rows.some(({ runs }) => runs.some(({ config }) => config.task.fold !== undefined))
  return {
    name: 'scores',
    title: 'Scores and costs',
    caption:
      `${describeMetric(rows)}kept is the checkpoint in adapter/, and last is the last evaluation.` +
      (hasSeveral
        ? ` Runs that differ only in their seed${hasFolds ? ' or fold' : ''} form a series, whose scores are means. Deviation and interval (95 % t) are of the last scores.`
        : ''),
    table: tablesFrom([...seriesColumns, ...seriesTexts], rows).table,
    csv,
  }
}

/** The metric, if it has no column. */
const describeMetric = (series: readonly Series[]): string => {
  const [metric = '', ...others] = new Set(series.map((one) => one.metric))
  return others.length > 0 ? '' : `Scores are ${metric}: `
}

type RunOfSeries = FinishedRun & { readonly series: Series }

const scoreColumn = (heading: string, find: (result: FinishedRun['result'], metric: string) => number | null | undefined) =>
  measured<RunOfSeries>(
    heading,
    ({ result, series }) => find(result, series.metric),
    (score, { series }) => scoreText(series.metric, score),
  )

const runColumns: readonly Column<RunOfSeries>[] = [
  { heading: 'run', value: ({ name }) => escapeText(name) },
  { heading: 'task', value: ({ series }) => series.task, isContext: true },
  { heading: 'series', value: ({ series }) => series.label },
  { heading: 'seed', value: ({ result }) => result.seed },
  { heading: 'metric', value: ({ series }) => series.metric, isContext: true },
  scoreColumn('kept', savedScore),
  { heading: 'kept step', value: ({ result }) => savedStep(result) },
  scoreColumn('last', lastScore),
  { heading: 'last step', value: ({ result }) => result.last.step },
  { heading: 'best', value: ({ result, series }) => result.best?.scores[series.metric] ?? null, isDetail: true },
  { heading: 'best step', value: ({ result }) => result.best?.step ?? null, isDetail: true },
  scoreColumn('test', ({ test }, metric) => test?.scores[metric]),
  { heading: 'status', value: ({ result }) => (result.interrupted ? 'interrupted' : 'finished'), isContext: true },
  {
    heading: 'finished',
    value: ({ result }) => formatOptional(result.finishedAt, escapeText),
    text: ({ result }) => formatOptional(result.finishedAt, dateText),
  },
  measured(
    'calibration error',
    ({ result }) => result.calibration?.errorAfter,
    (error) => error.toFixed(3),
  ),
  { heading: 'calibration error before', value: ({ result }) => result.calibration?.errorBefore ?? null, isDetail: true },
  { heading: 'temperature', value: ({ result }) => result.calibration?.temperature ?? null, isDetail: true },
  { heading: 'target density', value: ({ result }) => result.targetDensity ?? null },
  { heading: 'expected density', value: ({ result }) => result.expectedDensity ?? null, isDetail: true },
  measured('retained density', ({ result }) => result.retainedDensity, percentText),
  { heading: 'retained parameters', value: ({ result }) => result.retainedParameters ?? null, isDetail: true },
  { heading: 'lambda', value: ({ result }) => result.lambda ?? null, isDetail: true },
  { heading: 'seconds', value: ({ result }) => result.seconds, isDetail: true },
  { heading: 'peak memory (bytes)', value: ({ result }) => result.peakMemoryBytes, isDetail: true },
  { heading: 'device', value: ({ result }) => escapeText(result.device), isContext: true },
  { heading: 'precision', value: ({ result }) => formatOptional(result.precision, escapeText), isContext: true },
]

const runTexts: readonly Column<RunOfSeries>[] = [
  { heading: 'time', value: ({ result }) => durationText(result.seconds) },
  { heading: 'peak memory', value: ({ result }) => bytesText(result.peakMemoryBytes) },
]

export const runsTable = (series: readonly Series[]): ReportTable => {
  const rows = series.flatMap((one) => one.runs.map((run) => ({ ...run, series: one })))
  return {
    name: 'runs',
    title: 'Runs',
    caption: 'The numbers of each result.json; the CSV has every digit.',
    folded: true,
    table: tablesFrom([...runColumns, ...runTexts], rows).table,
    csv: tablesFrom(runColumns, rows).csv,
  }
}
