/** The figures and tables of the runs that pages show: those of a report, also of unfinished runs. They are made again when curves have grown. */
import { join } from 'node:path'
import { detailsFile, readDetails } from '../../finetuning/runs/evaluationDetails.js'
import type { PlottedFigure, PlottedSeries } from '../figures/figure.js'
import { confusionFigure, ranksContent } from '../figures/heatMaps.js'
import { plotFigures } from '../figures/index.js'
import { inOrder } from '../report/reportPage.js'
import type { ReportTable } from '../report/sections.js'
import { tablesOf } from '../report/tables.js'
import type { FinishedRun } from '../runs/collectRuns.js'
import type { RunCurves } from '../runs/curves.js'
import { coarsen } from '../runs/downSample.js'
import { namedConfigs } from '../runs/names.js'
import { resultOrMessage } from '../runs/resultOrMessage.js'
import { keptStep } from '../runs/scores.js'
import { metricOf, seriesOf, taskName } from '../runs/series.js'
import { escapeText } from '../text/html.js'
import type { CurveCache, LiveCurves } from './curveCache.js'
import { metricOfRun } from './runViews.js'
import { stampOf } from './tailFile.js'
import type { WatchedRun } from './watchRun.js'

export type RunContent = {
  readonly figures: readonly PlottedFigure[]
  readonly tables: readonly ReportTable[]
  /** one line for each problem with the curves */
  readonly problems: readonly string[]
  /** identifies the content */
  readonly version: string
}

export type ContentSource = {
  /** @returns null if `knownVersion` is current, or it is too early to make the figures again */
  readonly read: (runs: readonly WatchedRun[], knownVersion: string | null) => Promise<RunContent | null>
}

/** A growing figure is made again after this multiple of the time that it takes. */
const restFactor = 10
/** Maximum number of cached contents. */
const cacheSize = 16

/** Requests are handled one after another. */
export const openContent = (curves: CurveCache): ContentSource => {
  const cache = new Map<string, { readonly content: RunContent; readonly validUntil: number }>()
  const read = async (runs: readonly WatchedRun[], knownVersion: string | null): Promise<RunContent | null> => {
    const key = runs.map(({ id }) => id).join()
    const live = await Promise.all(runs.map(async (run): Promise<LiveRun> => ({ run, live: await curves.read(run) })))
    const stamps = runs.map(async ({ folder, result }) => [await stampOf(join(folder, detailsFile)), result])
    const version = JSON.stringify([live.map(({ run, live: ofRun }) => [run.id, ofRun.version, run.status]), await Promise.all(stamps)])
    const cached = cache.get(key)
    if (cached !== undefined && (cached.content.version === version || performance.now() < cached.validUntil))
      return knownVersion === cached.content.version ? null : cached.content
    const started = performance.now()
    const content = { ...(await contentOf(live)), version }
    cache.delete(key)
    cache.set(key, { content, validUntil: performance.now() + restFactor * (performance.now() - started) })
    for (const [oldest] of cache) if (cache.size > cacheSize) cache.delete(oldest)
    return content
  }
  let queue: Promise<unknown> = Promise.resolve()
  return {
    read: (runs, knownVersion) => {
      const next = queue.then(() => read(runs, knownVersion))
      queue = next.catch(() => undefined)
      return next
    },
  }
}

type LiveRun = { readonly run: WatchedRun; readonly live: LiveCurves }

const contentOf = async (runs: readonly LiveRun[]): Promise<Omit<RunContent, 'version'>> => {
  const width = Math.max(1, ...runs.map(({ live }) => live.width))
  const tasks = tasksOf(runs)
  const isComparison = runs.length > 1
  const series = runs.map((one): PlottedSeries => seriesIn(one, tasks.get(one.run) ?? '', isComparison, width))
  const { plotted, failed } = plotFigures(series)
  const [first] = isComparison ? [] : runs
  const { figures, tables, problems } = first === undefined ? nothing : await evaluationOf(first)
  return {
    figures: inOrder([...plotted, ...currentRanks(runs, series)], figures[0] ?? null),
    tables,
    problems: [...runs.flatMap(({ live }) => live.problem ?? []), ...problems, ...failed],
  }
}

const nothing: Omit<RunContent, 'version'> = { figures: [], tables: [], problems: [] }

const taskOf = ({ config }: WatchedRun): string => (config === null ? 'no config.json' : taskName(config))

/** The tasks of runs that are compared: files with the same name are two tasks. */
const tasksOf = (runs: readonly LiveRun[]): ReadonlyMap<WatchedRun, string> => {
  const named = namedConfigs(runs.flatMap(({ run: { config } }) => config ?? []))
  return new Map(
    runs.map(({ run }) => {
      const config = run.config === null ? undefined : named.get(run.config)
      return [run, config === undefined ? taskOf(run) : escapeText(String(config.task.task))]
    }),
  )
}

const finished = ({ folder, name, config, result }: WatchedRun): readonly FinishedRun[] =>
  config === null || result === null ? [] : [{ folder, name, place: null, config, result }]

/** A run is a line of its own. */
const seriesIn = ({ run, live: { curves } }: LiveRun, task: string, isComparison: boolean, width: number): PlottedSeries => {
  const scores = Object.fromEntries([...curves.scores.keys()].map((metric) => [metric, 0]))
  const label = escapeText(isComparison ? run.name : String(run.config?.settings.method ?? run.name))
  return { task, metric: metricOf(task, scores, metricOfRun(run)), label, runs: finished(run), curves: [coarsenAll(curves, width)], width }
}

const coarsenAll = ({ steps, scores, samples }: RunCurves, width: number): RunCurves => ({
  steps: Object.fromEntries(Object.entries(steps).map(([name, buckets]) => [name, coarsen(buckets, width)])) as RunCurves['steps'],
  scores: new Map([...scores].map(([metric, buckets]) => [metric, coarsen(buckets, width)])),
  samples,
})

/** The newest ranks of each run that has some and no result yet, as heat maps. */
const currentRanks = (runs: readonly LiveRun[], series: readonly PlottedSeries[]): readonly PlottedFigure[] => {
  const ranked = runs.flatMap(({ run, live: { newestRanks } }, i) => {
    const { task = '', label = '' } = series[i] ?? {}
    const { step, ranks } = newestRanks ?? { step: 0, ranks: {} }
    return newestRanks === null || run.result?.ranks !== undefined
      ? []
      : [{ task, label: `${label}, step ${step}`, ranks: [ranks], seeds: [0] }]
  })
  const content = ranksContent(
    ranked,
    'Ranks for each layer (row) and matrix (column): expected ranks until the gates close, then integers. Rank 0: no update of the matrix.',
    ({ task, label }) => `${task}: ${label}`,
  )
  return content === null ? [] : [{ name: 'ranks', title: 'Ranks by matrix', ...content }]
}

/** The confusion matrix and the tables that a report has of the run. A finished run shows the checkpoint that it kept. */
const evaluationOf = async ({ run, live }: LiveRun): Promise<Omit<RunContent, 'version'>> => {
  const [stored, message] = await resultOrMessage(() => readDetails(run.folder))
  const details = run.result !== null && stored?.step !== keptStep(run.result) ? null : stored
  const evaluated = details === null ? [] : [{ task: run.config === null ? run.name : taskOf(run), name: run.name, details }]
  const confusion = confusionFigure(evaluated)
  const sampled = [{ task: taskOf(run), name: run.name, samples: live.curves.samples }]
  return {
    figures: confusion === null ? [] : [confusion],
    tables: tablesOf({ runs: [], sweeps: [], transfers: [], skipped: [] }, seriesOf(finished(run)), evaluated, sampled).details,
    problems: message === null ? [] : [message],
  }
}
