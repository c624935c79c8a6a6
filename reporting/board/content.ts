/** What pages show of runs' metrics.jsonl: the figures and tables of a report, also of unfinished runs. They are made again when curves have grown. */
import { join } from 'node:path'
import { InputError } from '../../accelerated/errors/inputError.js'
import { detailsFile, readDetails } from '../../finetuning/run/evaluationDetails.js'
import type { PlottedFigure, PlottedSeries } from '../figures/figure.js'
import { confusionFigure, ranksContent } from '../figures/heatMaps.js'
import { plotFigures } from '../figures/index.js'
import { inOrder } from '../report/reportPage.js'
import type { ReportTable } from '../report/sections.js'
import { buildTables } from '../report/reportTables.js'
import type { FinishedRun } from '../runs/collectRuns.js'
import { curveCollector, type RunCurves } from '../runs/runCurves.js'
import { coarsen, downSampler, type DownSampler } from '../runs/downSample.js'
import { namedConfigs } from '../runs/runNames.js'
import { resultOrMessage } from '../runs/resultOrMessage.js'
import { savedStep } from '../runs/scores.js'
import { chooseMetric, groupSeries, taskName } from '../runs/series.js'
import { escapeText } from '../text/html.js'
import { selectionMetric } from './views.js'
import { openTail, readStamp } from './tailFile.js'
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
  /** @returns null if `shownVersion` is current. A figure that grows is made again after ten times the time that it takes */
  readonly read: (runs: readonly WatchedRun[], shownVersion: string | null) => Promise<RunContent | null>
}

const restFactor = 10
/** Maximum number of cached contents, and of runs whose curves are in memory: two comparisons. */
const [contentLimit, curveLimit] = [16, 24]
/** Points of a curve, as in a report, and maximum number of matrices in one run. */
const [points, matrixLimit] = [240, 10_000]

/** Requests are handled one after another. */
export const openContent = (): ContentSource => {
  const [curves, contents] = [recentlyUsed(curveLimit, openCurves), recentlyUsed(contentLimit, openRunContent)]
  let queue: Promise<unknown> = Promise.resolve()
  const read = async (runs: readonly WatchedRun[]): Promise<RunContent> => {
    const live = await Promise.all(runs.map(async (run) => ({ run, live: await curves(run.folder)() })))
    return contents(runs.map(({ id }) => id).join())(live)
  }
  return {
    read: (runs, shownVersion) => {
      const next = queue.then(() => read(runs)).then((content) => (content.version === shownVersion ? null : content))
      queue = next.catch(() => undefined)
      return next
    },
  }
}

/** Keeps what `make` made for the last `limit` keys. */
const recentlyUsed = <Value>(limit: number, make: (key: string) => Value): ((key: string) => Value) => {
  const cache = new Map<string, Value>()
  return (key) => {
    const value = cache.get(key) ?? make(key)
    cache.delete(key)
    cache.set(key, value) // a map keeps the order of insertion: the first one is the least recently used
    for (const oldest of cache.keys()) if (cache.size > limit) cache.delete(oldest)
    return value
  }
}

const openRunContent = () => {
  let [content, validUntil]: [RunContent | null, number] = [null, 0]
  return async (runs: readonly LiveRun[]): Promise<RunContent> => {
    const stamps = await Promise.all(runs.map(({ run: { folder } }) => readStamp(join(folder, detailsFile))))
    const version = JSON.stringify(runs.map(({ run, live }, i) => [run.id, live.version, run.status, run.result, stamps[i]]))
    const started = performance.now()
    if (content !== null && (content.version === version || started < validUntil)) return content
    content = { ...(await buildContent(runs)), version }
    validUntil = performance.now() + restFactor * (performance.now() - started)
    return content
  }
}

type LiveCurves = {
  readonly curves: RunCurves
  readonly newestRanks: RanksAtStep | null
  /** largest bucket width of all curves, a multiple of the others */
  readonly width: number
  /** grows with each read that finds new lines */
  readonly version: number
  /** message for a line that is not an event of a run */
  readonly problem: string | null
}

type RanksAtStep = { readonly step: number; readonly ranks: Readonly<Record<string, number>> }

/** The curves of a run; each read adds only new lines. The read throws an InputError if metrics.jsonl cannot be read. */
const openCurves = (folder: string): (() => Promise<LiveCurves>) => {
  const file = join(folder, 'metrics.jsonl')
  let [state, version] = [emptyCurves(), 0]
  const onLine = (line: Buffer): void => {
    try {
      state.collector.onLine(line, file)
      state.newestRanks = ranksIn(line) ?? state.newestRanks
    } catch (thrown) {
      if (!(thrown instanceof InputError || thrown instanceof SyntaxError)) throw thrown
      state.problem = thrown instanceof InputError ? thrown.message : `${file}: expected an event of a run as JSON, got another line`
    }
  }
  const onReset = (): void => {
    state = emptyCurves()
  }
  const tail = openTail(file, { onLine, onReset })
  return async () => {
    if (await tail.read()) version += 1
    const width = Math.max(1, ...state.samplers.map((sampler) => sampler.width()))
    return { curves: state.collector.curves(), newestRanks: state.newestRanks, problem: state.problem, width, version }
  }
}

type CurveState = {
  readonly samplers: readonly DownSampler[]
  readonly collector: ReturnType<typeof curveCollector>
  newestRanks: RanksAtStep | null
  problem: string | null
}

const emptyCurves = (): CurveState => {
  const samplers: DownSampler[] = []
  const newSampler = (): DownSampler => {
    const sampler = downSampler(1, points)
    samplers.push(sampler)
    return sampler
  }
  return { samplers, collector: curveCollector(newSampler, Number.MAX_SAFE_INTEGER), newestRanks: null, problem: null }
}

/** The ranks of a line: expected ranks during training, or the ranks that pruning has retained. */
const ranksIn = (line: Buffer): RanksAtStep | null => {
  if (!line.includes('"ranks"')) return null
  const { step, ranks } = JSON.parse(line.toString()) as { readonly step: number; readonly ranks?: unknown }
  if (typeof ranks !== 'object' || ranks === null || Array.isArray(ranks)) return null
  const entries = Object.entries(ranks).flatMap(([name, rank]) => (typeof rank === 'number' ? [[name, rank] as const] : []))
  return entries.length === 0 || entries.length > matrixLimit ? null : { step, ranks: Object.fromEntries(entries) }
}

type LiveRun = { readonly run: WatchedRun; readonly live: LiveCurves }

const buildContent = async (runs: readonly LiveRun[]): Promise<Omit<RunContent, 'version'>> => {
  const width = Math.max(1, ...runs.map(({ live }) => live.width))
  const tasks = nameTasks(runs)
  const isComparison = runs.length > 1
  const series = runs.map((one): PlottedSeries => seriesIn(one, tasks.get(one.run) ?? '', isComparison, width))
  const { plotted, failed } = plotFigures(series)
  const [first] = isComparison ? [] : runs
  const { figures, tables, problems } = first === undefined ? nothing : await loadEvaluation(first)
  return {
    figures: inOrder([...plotted, ...currentRanks(runs, series)], figures[0] ?? null),
    tables,
    problems: [...runs.flatMap(({ live }) => live.problem ?? []), ...problems, ...failed],
  }
}

const nothing: Omit<RunContent, 'version'> = { figures: [], tables: [], problems: [] }

const describeTask = ({ config }: WatchedRun): string => (config === null ? 'no config.json' : taskName(config))

/** The tasks of runs that are compared: files with the same name are two tasks. */
const nameTasks = (runs: readonly LiveRun[]): ReadonlyMap<WatchedRun, string> => {
  const named = namedConfigs(runs.flatMap(({ run: { config } }) => config ?? []))
  return new Map(
    runs.map(({ run }) => {
      const config = run.config === null ? undefined : named.get(run.config)
      return [run, config === undefined ? describeTask(run) : escapeText(String(config.task.task))]
    }),
  )
}

const finished = ({ folder, name, config, result }: WatchedRun): readonly FinishedRun[] =>
  config === null || result === null ? [] : [{ folder, name, place: null, config, result }]

/** A run is a line of its own. */
const seriesIn = ({ run, live: { curves } }: LiveRun, task: string, isComparison: boolean, width: number): PlottedSeries => {
  const scores = Object.fromEntries([...curves.scores.keys()].map((metric) => [metric, 0]))
  const label = escapeText(isComparison ? run.name : String(run.config?.settings.method ?? run.name))
  return {
    task,
    metric: chooseMetric(task, scores, selectionMetric(run)),
    label,
    runs: finished(run),
    curves: [coarsenAll(curves, width)],
    width,
  }
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
const loadEvaluation = async ({ run, live }: LiveRun): Promise<Omit<RunContent, 'version'>> => {
  const [stored, message] = await resultOrMessage(() => readDetails(run.folder))
  const details = run.result !== null && stored?.step !== savedStep(run.result) ? null : stored
  const evaluated = details === null ? [] : [{ task: run.config === null ? run.name : describeTask(run), name: run.name, details }]
  const confusion = confusionFigure(evaluated)
  const sampled = [{ task: describeTask(run), name: run.name, samples: live.curves.samples }]
  const runs = finished(run)
  return {
    figures: confusion === null ? [] : [confusion],
    tables: buildTables(
      { runs: [], sweeps: [], transfers: [], skipped: [] },
      groupSeries(runs),
      evaluated,
      sampled,
      new Map(runs.map((one) => [one, live.curves])),
    ).details,
    problems: message === null ? [] : [message],
  }
}
