/** Caches the curves of the runs that pages show. Each read adds only new lines. The least recently shown runs are dropped. */
import { join } from 'node:path'
import { InputError } from '../../accelerated/errors/inputError.js'
import { curveCollector, type RunCurves } from '../runs/curves.js'
import { downSampler, type DownSampler } from '../runs/downSample.js'
import { openTail } from './tailFile.js'
import type { WatchedRun } from './watchRun.js'

export type LiveCurves = {
  readonly curves: RunCurves
  readonly newestRanks: RanksAtStep | null
  /** largest bucket width of all curves, a multiple of the others */
  readonly width: number
  /** grows with each read that finds new lines */
  readonly version: number
  /** message for a line that is not an event of a run */
  readonly problem: string | null
}

export type RanksAtStep = { readonly step: number; readonly ranks: Readonly<Record<string, number>> }

export type CurveCache = {
  /** @throws InputError if metrics.jsonl cannot be read */
  readonly read: (run: Pick<WatchedRun, 'id' | 'folder'>) => Promise<LiveCurves>
}

/** Points of a curve, as in a report. */
const points = 240
/** Maximum number of cached runs: two comparisons. */
const cacheSize = 24
/** Maximum number of matrices in one run. */
const matrixLimit = 10_000

export const openCurveCache = (): CurveCache => {
  const cache = new Map<string, CurveReader>()
  return {
    read: async ({ id, folder }) => {
      const reader = cache.get(id) ?? openCurves(folder)
      cache.delete(id)
      cache.set(id, reader) // a map keeps the order of insertion: the first run is the least recently shown
      for (const [oldest] of cache) if (cache.size > cacheSize) cache.delete(oldest)
      return reader()
    },
  }
}

type CurveReader = () => Promise<LiveCurves>

/** Concurrent reads share one. */
const openCurves = (folder: string): CurveReader => {
  const metrics = curveState(join(folder, 'metrics.jsonl'))
  const tail = openTail(metrics.file, metrics)
  let version = 0
  const read = async (): Promise<LiveCurves> => {
    if (await tail.read()) version += 1
    return { ...metrics.curves(), version }
  }
  let reading: Promise<LiveCurves> | null = null
  return () => {
    reading ??= read().finally(() => {
      reading = null
    })
    return reading
  }
}

/** The curves of all lines since the last reset. */
const curveState = (file: string) => {
  let state = emptyState()
  return {
    file,
    onReset: (): void => {
      state = emptyState()
    },
    onLine: (line: Buffer): void => {
      try {
        state.collector.onLine(line, file)
        state.newestRanks = ranksIn(line) ?? state.newestRanks
      } catch (thrown) {
        if (!(thrown instanceof InputError || thrown instanceof SyntaxError)) throw thrown
        state.problem = thrown instanceof InputError ? thrown.message : `${file}: expected an event of a run as JSON, got another line`
      }
    },
    curves: (): Omit<LiveCurves, 'version'> => ({
      curves: state.collector.curves(),
      newestRanks: state.newestRanks,
      width: Math.max(1, ...state.samplers.map(({ width }) => width())),
      problem: state.problem,
    }),
  }
}

type CurveState = {
  readonly samplers: readonly DownSampler[]
  readonly collector: ReturnType<typeof curveCollector>
  newestRanks: RanksAtStep | null
  problem: string | null
}

const emptyState = (): CurveState => {
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
