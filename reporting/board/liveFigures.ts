/** The figures of unfinished runs: those of a report with one line for each run, and the ranks while the gates close. */
import { seriesLimit } from '../charts/chartStyle.js'
import { bandOf, coarsen, type Band, type Bucket } from '../charts/downSample.js'
import { escapeText } from '../charts/escapeText.js'
import type { FigureContent, PlottedSeries } from '../charts/figure.js'
import { plotFigures } from '../charts/figures/plotFigures.js'
import { ranksContent } from '../charts/figures/ranks.js'
import { lineChart } from '../charts/lineChart.js'
import { matrixPlace, matrixTitles } from '../charts/matrixNames.js'
import { omittedSentence } from '../charts/panels.js'
import type { RunCurves } from '../charts/runCurves.js'
import { namedConfigs } from '../charts/namedConfigs.js'
import { metricOf, taskName } from '../charts/series.js'
import type { LiveCurves } from './curveCache.js'
import type { WatchedRun } from './watchRun.js'

export type LiveRun = { readonly run: WatchedRun; readonly live: LiveCurves }

export type LiveFigure = { readonly name: string; readonly title: string } & FigureContent

/** The figures, and one line for each that failed. */
export const liveFigures = (
  runs: ReadonlyArray<LiveRun>,
): { readonly figures: ReadonlyArray<LiveFigure>; readonly failed: ReadonlyArray<string> } => {
  const width = Math.max(1, ...runs.map(({ live }) => live.width))
  const isComparison = runs.length > 1
  const tasks = tasksOf(runs)
  const series = runs.map((one) => seriesOf(one, tasks.get(one.run) ?? '', isComparison, width))
  const { plotted, failed } = plotFigures(series)
  const [first] = runs
  const closing = isComparison || first === undefined ? [] : closingRanks(first, width)
  return { figures: [...plotted, ...closing, ...currentRanks(runs, tasks, isComparison)], failed }
}

export const taskOf = ({ config }: WatchedRun): string => (config === null ? 'no config.json' : taskName(config))

/** The tasks of runs that are compared: files with the same name are two tasks. */
const tasksOf = (runs: ReadonlyArray<LiveRun>): ReadonlyMap<WatchedRun, string> => {
  const named = namedConfigs(runs.flatMap(({ run: { config } }) => config ?? []))
  return new Map(
    runs.map(({ run }) => {
      const config = run.config === null ? undefined : named.get(run.config)
      return [run, config === undefined ? taskOf(run) : escapeText(String(config.task.task))]
    }),
  )
}

const labelOf = ({ name, config }: WatchedRun, isComparison: boolean): string =>
  escapeText(isComparison ? name : String(config?.settings.method ?? name))

const seriesOf = ({ run, live: { curves } }: LiveRun, task: string, isComparison: boolean, width: number): PlottedSeries => {
  const metrics = Object.fromEntries([...curves.scores.keys()].map((metric) => [metric, 0]))
  const label = labelOf(run, isComparison)
  return { task, metric: metricOf(task, metrics), label, runs: [], curves: [coarsenAll(curves, width)], width }
}

const coarsenAll = ({ steps, scores }: RunCurves, width: number): RunCurves => ({
  steps: Object.fromEntries(Object.entries(steps).map(([name, buckets]) => [name, coarsen(buckets, width)])) as RunCurves['steps'],
  scores: new Map([...scores].map(([metric, buckets]) => [metric, coarsen(buckets, width)])),
})

/** The newest ranks of each run that has some, as heat maps. */
const currentRanks = (
  runs: ReadonlyArray<LiveRun>,
  tasks: ReadonlyMap<WatchedRun, string>,
  isComparison: boolean,
): ReadonlyArray<LiveFigure> => {
  const ranked = runs.flatMap(({ run, live: { newestRanks } }) => {
    if (newestRanks === null) return []
    const label = `${labelOf(run, isComparison)}, step ${newestRanks.step}`
    return [{ task: tasks.get(run) ?? '', label, ranks: [newestRanks.ranks], seeds: [0] }]
  })
  const content = ranksContent(
    ranked,
    'Ranks for each layer (row) and matrix (column): expected ranks until the gates close, then integers. Rank 0: no update of the matrix.',
    ({ task, label }) => `${task}: ${label}`,
  )
  return content === null ? [] : [{ name: 'ranks', title: 'Ranks by matrix', ...content }]
}

type RankLine = { readonly series: string; readonly bands: ReadonlyArray<Band> }

/** Expected ranks over steps: a line for each kind of matrix, with the layers as band. */
const closingRanks = ({ run, live: { ranks } }: LiveRun, width: number): ReadonlyArray<LiveFigure> => {
  if (Math.max(0, ...[...ranks.values()].map(({ length }) => length)) < 2) return []
  const byColumn = ranksByColumn(ranks, width)
  const titles = matrixTitles([...byColumn.keys()])
  const lines = [...byColumn].slice(0, seriesLimit).map(([column, layers]) => ({
    series: escapeText(titles.get(column) ?? column),
    bands: bandOf(layers, width),
  }))
  const points = lines.flatMap(({ series, bands }) => bands.map(({ to, mean, low, high }) => ({ series, x: to, y: mean, low, high })))
  return [
    {
      name: 'closing',
      title: 'Expected rank over steps',
      caption: `Expected ranks while the gates close. Line: mean over layers. Band: minimum to maximum of the layers.${omittedSentence(byColumn.size - lines.length, 'kinds of matrices')}`,
      panels: [
        {
          name: 'closing',
          title: taskOf(run),
          alternative: `Expected rank over steps. ${lines.map(spokenLine).join(' ')}`,
          chart: lineChart(points, { title: 'step' }, { title: 'expected rank' }),
        },
      ],
      table: {
        columns: ['matrix', 'first step', 'last step', 'mean rank', 'min', 'max'],
        rows: lines.flatMap(({ series, bands }) => bands.map(({ from, to, mean, low, high }) => [series, from, to, mean, low, high])),
      },
    },
  ]
}

/** The curves of all layers, by the name of the matrix within a layer. */
const ranksByColumn = (ranks: LiveCurves['ranks'], width: number): ReadonlyMap<string, ReadonlyArray<ReadonlyArray<Bucket>>> => {
  const byColumn = new Map<string, ReadonlyArray<Bucket>[]>()
  for (const [name, buckets] of ranks) {
    const { column } = matrixPlace(name)
    byColumn.set(column, [...(byColumn.get(column) ?? []), coarsen(buckets, width)])
  }
  return byColumn
}

const spokenLine = ({ series, bands }: RankLine): string => `${series}: ${bands.at(-1)?.mean.toPrecision(3)} at step ${bands.at(-1)?.to}.`
