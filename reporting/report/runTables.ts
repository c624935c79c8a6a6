/** Scores and costs: one row for each series, and one for each run. The page has human units, and the CSV every digit. */
import { group, rollup } from 'd3-array'
import { mean, sampleStandardDeviation } from 'simple-statistics'
import { summarizeValues, type Summary } from '../../evaluation/glue/statistics.js'
import { csvTable, type Cell } from '../../evaluation/tables/tableText.js'
import type { FinishedRun } from '../runs/collectRuns.js'
import { drawSparkline } from '../charts/drawChart.js'
import { bucketWidth, coarsen, mergeBands } from '../runs/downSample.js'
import type { RunCurves } from '../runs/runCurves.js'
import { compareScores, savedStep, lastScore, savedScore, trainedParameters } from '../runs/scores.js'
import type { Series } from '../runs/series.js'
import { escapeText } from '../text/html.js'
import { bytesText, countText, dateText, differenceText, durationText, percentText, scoreText } from '../text/units.js'
import type { ReportTable } from './sections.js'

const meanOrNull = (values: readonly number[]): number | null => (values.length === 0 ? null : mean([...values]))

/** The curves of the runs that have some. */
export type CurvesByRun = ReadonlyMap<FinishedRun, RunCurves>

/** Maximum number of points of a sparkline. */
const sparkPoints = 40

/** The mean score of the runs' evaluations over steps. */
const scoreCurve = (runs: readonly FinishedRun[], metric: string, curves: CurvesByRun): Cell => {
  const end = Math.max(...runs.map(({ result }) => Math.max(result.steps, result.last.step)))
  const width = bucketWidth(end, sparkPoints)
  const bands = mergeBands(
    runs.map((run) => coarsen(curves.get(run)?.scores.get(metric) ?? [], width)),
    width,
  )
  return drawSparkline(
    metric,
    bands.map(({ to, mean: score }) => [to, score]),
    end,
  )
}

/** A column: its heading, its value with every digit, and its text for people (absent: the value). */
type Column<Row> = {
  readonly heading: string
  readonly value: (row: Row) => Cell
  readonly text?: (row: Row) => Cell
  /** whether the column is in the CSV only */
  readonly isDetail?: boolean
  /** whether the column is in the page only: its cells repeat others in words or as a drawing */
  readonly isText?: boolean
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

const tablesFrom = <Row>(all: readonly Column<Row>[], rows: readonly Row[]) => {
  const columns = all.filter(({ isText = false }) => !isText)
  const distinct = ({ value }: Column<Row>): number => new Set(rows.map(value)).size
  const shown = all.filter(
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
  /** sample standard deviation of the kept scores; null for a single run */
  readonly deviation: number | null
  /** the kept score less that of the task's first series; null for that series */
  readonly difference: number | null
  readonly curve: Cell
  readonly last: Summary | null
  readonly trained: { readonly method: number | null; readonly head: number | null }
}

const keptScores = ({ runs, metric }: Series): readonly number[] => runs.flatMap(({ result }) => savedScore(result, metric) ?? [])

/** @param baseline the task's first series */
const summarize = (series: Series, baseline: Series, curves: CurvesByRun): SummarizedSeries => {
  const [first] = series.runs
  const scores = keptScores(series)
  const [kept, ofBaseline] = [meanOrNull(scores), meanOrNull(keptScores(baseline))]
  return {
    ...series,
    kept,
    deviation: scores.length < 2 ? null : sampleStandardDeviation([...scores]),
    difference: series === baseline || kept === null || ofBaseline === null ? null : kept - ofBaseline,
    curve: scoreCurve(series.runs, series.metric, curves),
    last: summarizeValues(series.runs.flatMap(({ result }) => lastScore(result, series.metric) ?? [])),
    trained: first === undefined ? { method: null, head: null } : trainedParameters(first.result),
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
    (score, { metric, deviation }) => scoreText(metric, score) + (deviation === null ? '' : ` ± ${scoreText(metric, deviation)}`),
  ),
  { heading: 'Δ', value: (row) => formatOptional(row.difference, (value) => differenceText(row.metric, value)), isText: true },
  measured(
    'last',
    ({ last }) => last?.mean,
    (score, { metric }) => scoreText(metric, score),
  ),
  { heading: 'evaluations', value: ({ curve }) => curve, isText: true },
  { heading: 'max deviation', value: getDeviation, isDetail: true },
  { heading: '95% from', value: ({ last }) => last?.interval?.[0] ?? null, isDetail: true },
  { heading: '95% to', value: ({ last }) => last?.interval?.[1] ?? null, isDetail: true },
  { heading: '95 % interval', value: intervalText, isText: true },
  measured('method parameters', ({ trained }) => trained.method, countText),
  { heading: 'head parameters', value: ({ trained }) => trained.head, isDetail: true },
  measured('retained density', meanRetained, percentText),
  { heading: 'seconds', value: meanSeconds, isDetail: true },
  { heading: 'peak memory (bytes)', value: peakMemory, isDetail: true },
  { heading: 'standard deviation', value: ({ deviation }) => deviation, isDetail: true },
  { heading: 'time', value: (row) => formatOptional(meanSeconds(row), durationText), isText: true },
  { heading: 'peak memory', value: (row) => bytesText(peakMemory(row)), isText: true },
]

/** Within each task, the best kept score is first; a series without one is last. */
const bestFirst = (rows: readonly SummarizedSeries[]): readonly SummarizedSeries[] =>
  [...group(rows, ({ task }) => task).values()].flatMap((ofTask) =>
    ofTask.toSorted((a, b) =>
      a.kept === null || b.kept === null ? Number(a.kept === null) - Number(b.kept === null) : compareScores(a, b.kept, a.kept),
    ),
  )

export const seriesTable = (series: readonly Series[], curves: CurvesByRun = new Map()): ReportTable => {
  const baselines = rollup(
    series,
    ([first]) => first,
    ({ task }) => task,
  )
  const rows = bestFirst(series.map((one) => summarize(one, baselines.get(one.task) ?? one, curves)))
  const hasSeveral = rows.some(({ runs }) => runs.length > 1)
  const hasFolds = rows.some(({ runs }) => runs.some(({ config }) => config.task.fold !== undefined))
  return {
    name: 'scores',
    title: 'Scores and costs',
    caption:
      `${describeMetric(rows)}kept is the checkpoint in adapter/, and last is the last evaluation.` +
      (hasSeveral
        ? ` Runs that differ only in their seed${hasFolds ? ' or fold' : ''} form a series: mean ± standard deviation of the kept scores, and a 95 % t interval of the last ones.`
        : '') +
      (rows.some(({ difference }) => difference !== null) ? ` Δ compares with ${describeBaseline([...baselines.values()])}.` : ''),
    ...tablesFrom(seriesColumns, rows),
  }
}

/** The first series in the order of the folders: its own difference is empty. */
const describeBaseline = ([first, ...others]: readonly (Series | undefined)[]): string =>
  others.length > 0 || first === undefined ? "each task's first series" : `${first.label}, the first series`

/** The metric, if it has no column. */
const describeMetric = (series: readonly Series[]): string => {
  const [metric = '', ...others] = new Set(series.map((one) => one.metric))
  return others.length > 0 ? '' : `Scores are ${metric}: `
}

type RunOfSeries = FinishedRun & { readonly series: Series; readonly curve: Cell }

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
  { heading: 'evaluations', value: ({ curve }) => curve, isText: true },
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
  { heading: 'time', value: ({ result }) => durationText(result.seconds), isText: true },
  { heading: 'peak memory', value: ({ result }) => bytesText(result.peakMemoryBytes), isText: true },
]

/** By task, then by method, and the seeds of a method as they were collected. */
export const runsTable = (series: readonly Series[], curves: CurvesByRun = new Map()): ReportTable => {
  const byMethod = [...group(series, ({ task, runs: [run] }) => JSON.stringify([task, run?.config.settings.method])).values()].flat()
  const rows = byMethod.flatMap((one) => one.runs.map((run) => ({ ...run, series: one, curve: scoreCurve([run], one.metric, curves) })))
  return {
    name: 'runs',
    title: 'Runs',
    caption: 'The numbers of each result.json; the CSV has every digit.',
    folded: true,
    ...tablesFrom(runColumns, rows),
  }
}
