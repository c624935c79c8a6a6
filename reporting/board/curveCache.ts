/** Curves of the runs that somebody looks at: read once, then as they grow, down-sampled on the way; forgotten when nobody looks any more. */
import { join } from 'node:path'
import { InputError } from '../../accelerated/errors/inputError.js'
import { growingSampler, type GrowingSampler } from '../charts/downSample.js'
import { curveCollector, type RunCurves } from '../charts/runCurves.js'
import { openTail } from './tailFile.js'
import type { WatchedRun } from './watch.js'

export type LiveCurves = {
  readonly curves: RunCurves
  /** expected rank over steps, by matrix */
  readonly ranks: ReadonlyMap<string, ReturnType<GrowingSampler['buckets']>>
  /** the newest ranks that were told, with their step; null before any */
  readonly newest: { readonly step: number; readonly ranks: Readonly<Record<string, number>> } | null
  /** steps in the widest bucket: every other width is a part of it */
  readonly width: number
  /** grows whenever something was read */
  readonly version: number
  /** a line that is no event of a run, in words */
  readonly odd: string | null
}

export type CurveShelf = {
  /** @returns what is there now; a file that cannot be read has no curves and says so */
  readonly of: (run: Pick<WatchedRun, 'id' | 'folder'>) => Promise<LiveCurves>
}

/** As many points as the report's curves have. */
const points = 240
/** Runs whose curves are kept: what two pages compare. */
const shelfLimit = 24
/** Matrices of one run, as many as its result may name within its bytes. */
const matrixLimit = 10_000

type Kept = { readonly look: () => Promise<LiveCurves> }

export const openCurveShelf = (): CurveShelf => {
  const shelf = new Map<string, Kept>()
  return {
    of: async ({ id, folder }) => {
      const kept = shelf.get(id) ?? openCurves(folder)
      shelf.delete(id)
      shelf.set(id, kept) // the newest is the last
      for (const [other] of shelf) if (shelf.size > shelfLimit) shelf.delete(other)
      return kept.look()
    },
  }
}

const openCurves = (folder: string): Kept => {
  const file = join(folder, 'metrics.jsonl')
  let samplers: GrowingSampler[] = []
  const newSampler = (): GrowingSampler => {
    const sampler = growingSampler(points)
    samplers.push(sampler)
    return sampler
  }
  const fresh = () => ({ collector: curveCollector(newSampler, Number.MAX_SAFE_INTEGER), ranks: new Map<string, GrowingSampler>() })
  let read = fresh()
  let [newest, odd, version]: [LiveCurves['newest'], string | null, number] = [null, null, 0]
  const tail = openTail(file, {
    forget: () => {
      samplers = []
      ;[read, newest, odd] = [fresh(), null, null]
    },
    take: (line) => {
      try {
        read.collector.take(line, file)
        const told = ranksIn(line)
        if (told === null) return
        newest = told
        for (const [name, rank] of Object.entries(told.ranks)) {
          const curve = read.ranks.get(name) ?? newSampler()
          read.ranks.set(name, curve)
          curve.add(told.step, rank)
        }
      } catch (thrown) {
        if (!(thrown instanceof InputError || thrown instanceof SyntaxError)) throw thrown
        odd = thrown instanceof InputError ? thrown.message : `${file}: expected an event of a run as JSON, got a line that is none`
      }
    },
  })
  const look = async (): Promise<LiveCurves> => {
    if (await tail.look()) version += 1
    return {
      curves: read.collector.curves(),
      ranks: new Map([...read.ranks].map(([name, curve]) => [name, curve.buckets()])),
      newest,
      width: Math.max(1, ...samplers.map(({ width }) => width())),
      version,
      odd,
    }
  }
  let looking: Promise<LiveCurves> | null = null
  return {
    /** two pages that look at once read it once */
    look: () => {
      looking ??= look().finally(() => {
        looking = null
      })
      return looking
    },
  }
}

/** Of a line of kind `ranks`, and of the one that tells which stay. */
const ranksIn = (line: Buffer): LiveCurves['newest'] => {
  if (!line.includes('"ranks"')) return null
  const { step, ranks } = JSON.parse(line.toString()) as { readonly step: number; readonly ranks?: unknown }
  if (typeof ranks !== 'object' || ranks === null || Array.isArray(ranks)) return null
  const entries = Object.entries(ranks).flatMap(([name, rank]) => (typeof rank === 'number' ? [[name, rank] as const] : []))
  return entries.length === 0 || entries.length > matrixLimit ? null : { step, ranks: Object.fromEntries(entries) }
}
