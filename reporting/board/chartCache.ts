/** Makes the figures of the runs that pages show, and caches them. Figures are made again when their curves have grown; the pages draw them. */
import { csvOf } from '../charts/csv.js'
import type { CurveCache } from './curveCache.js'
import type { RenderedFigure, RenderedTable } from './events.js'
import { samplesTables } from '../report/tables/samples.js'
import type { ReportTable } from '../report/tables/reportTable.js'
import { liveFigures, taskOf, type LiveRun } from './liveFigures.js'
import { noEvaluation, openEvaluations } from './liveEvaluation.js'
import type { WatchedRun } from './watchRun.js'

export type RenderedFigures = {
  readonly figures: ReadonlyArray<RenderedFigure>
  readonly tables: ReadonlyArray<RenderedTable>
  /** one line for each problem with the curves */
  readonly problems: ReadonlyArray<string>
  /** identifies the rendered data */
  readonly version: string
}

export type ChartRenderer = {
  /** @returns null if `knownVersion` is current, or it is too early to make the figures again */
  readonly render: (runs: ReadonlyArray<WatchedRun>, knownVersion: string | null) => Promise<RenderedFigures | null>
}

/** A growing figure is made again after this multiple of the time that it takes. */
const restFactor = 10
/** Maximum number of cached sets of figures. */
const cacheSize = 16

/** Of a single run; texts of several are not compared. */
const samplesOf = ([only, ...others]: ReadonlyArray<LiveRun>): ReadonlyArray<ReportTable> =>
  only === undefined || others.length > 0
    ? []
    : samplesTables([{ task: taskOf(only.run), name: only.run.name, samples: only.live.samples }])

type CacheEntry = { readonly figures: RenderedFigures; readonly validUntil: number }

/** Requests are handled one after another. */
export const openChartRenderer = (curves: CurveCache): ChartRenderer => {
  const cache = new Map<string, CacheEntry>()
  const evaluations = openEvaluations()
  const render = async (runs: ReadonlyArray<WatchedRun>, knownVersion: string | null): Promise<RenderedFigures | null> => {
    const key = runs.map(({ id }) => id).join()
    const live: ReadonlyArray<LiveRun> = await Promise.all(runs.map(async (run) => ({ run, live: await curves.read(run) })))
    const [only, ...others] = runs
    const evaluation = only === undefined || others.length > 0 ? noEvaluation : await evaluations.read(only)
    const ofRuns = live.map(({ run, live: { version: ofCurves } }) => `${run.id} ${ofCurves} ${run.status}`)
    const version = [...ofRuns, evaluation.version].join()
    const cached = cache.get(key)
    if (cached !== undefined && (cached.figures.version === version || performance.now() < cached.validUntil))
      return knownVersion === cached.figures.version ? null : cached.figures
    const started = performance.now()
    const { figures: plotted, failed } = liveFigures(live)
    const problems = [...live.flatMap(({ live: { problem } }) => problem ?? []), ...evaluation.problems, ...failed]
    const shown = [...plotted, ...evaluation.figures].map((figure) => ({ ...figure, csv: csvOf(figure.table) }))
    const tables = [...samplesOf(live), ...evaluation.tables].map(({ name, title, caption, table, csv = csvOf(table) }) => ({
      name,
      title,
      caption,
      table,
      csv,
    }))
    const figures = { figures: shown, tables, problems, version }
    cache.delete(key)
    cache.set(key, { figures, validUntil: performance.now() + restFactor * (performance.now() - started) })
    for (const [oldest] of cache) if (cache.size > cacheSize) cache.delete(oldest)
    return figures
  }
  let queue: Promise<unknown> = Promise.resolve()
  return {
    render: (runs, knownVersion) => {
      const next = queue.then(() => render(runs, knownVersion))
      queue = next.catch(() => undefined)
      return next
    },
  }
}
