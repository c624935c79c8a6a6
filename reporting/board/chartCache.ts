/** Renders the figures of the runs that pages show, and caches them. Figures are rendered again when their curves have grown. */
import { setImmediate as yieldToOthers } from 'node:timers/promises'
import { csvOf } from '../charts/csv.js'
import { loadSvgRenderer, type SvgRenderer } from '../charts/drawing.js'
import { resultOrMessage } from '../resultOrMessage.js'
import type { CurveCache } from './curveCache.js'
import type { RenderedFigure } from './events.js'
import { liveFigures, type LiveFigure, type LiveRun } from './liveFigures.js'
import type { WatchedRun } from './watchRun.js'

export type RenderedFigures = {
  readonly figures: ReadonlyArray<RenderedFigure>
  /** one line for each problem with the curves or the charts */
  readonly problems: ReadonlyArray<string>
  /** identifies the rendered data */
  readonly version: string
}

export type ChartRenderer = {
  /** @returns null if `knownVersion` is current, or it is too early to render again */
  readonly render: (runs: ReadonlyArray<WatchedRun>, knownVersion: string | null) => Promise<RenderedFigures | null>
}

/** A growing figure is rendered again after this multiple of its rendering time. */
const restFactor = 10
/** Maximum number of cached sets of figures. */
const cacheSize = 16

type CacheEntry = { readonly figures: RenderedFigures; readonly validUntil: number }

/** Requests are rendered one after another. */
export const openChartRenderer = (curves: CurveCache): ChartRenderer => {
  const cache = new Map<string, CacheEntry>()
  const render = async (runs: ReadonlyArray<WatchedRun>, knownVersion: string | null): Promise<RenderedFigures | null> => {
    const key = runs.map(({ id }) => id).join()
    const live: ReadonlyArray<LiveRun> = await Promise.all(runs.map(async (run) => ({ run, live: await curves.read(run) })))
    const version = live.map(({ run, live: { version: ofCurves } }) => `${run.id} ${ofCurves} ${run.status}`).join()
    const cached = cache.get(key)
    if (cached !== undefined && (cached.figures.version === version || performance.now() < cached.validUntil))
      return knownVersion === cached.figures.version ? null : cached.figures
    const started = performance.now()
    const problems = live.flatMap(({ live: { problem } }) => problem ?? [])
    const rendered = await renderAll(liveFigures(live))
    const figures = { figures: rendered.figures, problems: [...problems, ...rendered.problems], version }
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

/** Without Vega, figures have their numbers but no charts. */
const renderAll = async (plotted: ReadonlyArray<LiveFigure>): Promise<Omit<RenderedFigures, 'version'>> => {
  if (plotted.length === 0) return { figures: [], problems: [] }
  const [renderer, missing] = await resultOrMessage(loadSvgRenderer)
  const figures: RenderedFigure[] = []
  for (const { panels, ...figure } of plotted)
    figures.push({ ...figure, panels: renderer === null ? [] : await renderPanels(panels, renderer), csv: csvOf(figure.table) })
  return { figures, problems: missing === null ? [] : [missing] }
}

const renderPanels = async (panels: LiveFigure['panels'], render: SvgRenderer): Promise<RenderedFigure['panels']> => {
  const rendered: RenderedFigure['panels'][number][] = []
  for (const { spec, ...panel } of panels) {
    rendered.push({ ...panel, svg: await render(spec) })
    await yieldToOthers()
  }
  return rendered
}
