/**
 * What is told to the pages that look: to each, what has changed since it was told last. Nothing is read and nothing is drawn while nobody looks, and
 * for a page that reads slowly nothing is heaped up: it is told less often.
 */
import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { reason } from '../../accelerated/errors/inputError.js'
import { escapeText } from '../charts/escapeText.js'
import { holderOf, stopHolder } from './runProcess.js'
import type { Studio } from './chartCache.js'
import type { QueueState, WatchedQueue } from './queueState.js'
import { compareView, effectOf, runLine, runView, sweepLine, sweepView } from './views.js'
import type { Watch, WatchedRun } from './watch.js'

/** Milliseconds between two looks at the folder, and at the queue. */
const [interval, queueInterval] = [1_000, 2_000]
/** A look that took long is followed by so many times its time of rest. */
const restAfterLook = 3
/** Pages at once. */
export const pageLimit = 16
/** Milliseconds after which a page hears that the board is there, and after which one that does not read is let go. */
const [heartbeat, deaf] = [10_000, 60_000]

export type View = { readonly kind: 'list' | 'run' | 'compare' | 'sweep'; readonly ids: ReadonlyArray<string> }

/** One page that looks. */
type Looker = {
  readonly view: View
  readonly response: ServerResponse
  /** digests of the parts that it was told */
  readonly told: Map<string, string>
  version: string | null
  busy: boolean
  heard: number
  since: number | null
}

export type Live = {
  readonly hasRoom: () => boolean
  readonly follow: (response: ServerResponse, view: View) => void
  readonly stop: (id: string) => Promise<{ readonly stopped: boolean; readonly line: string }>
  readonly close: () => void
}

export const openLive = (watch: Watch, studio: Studio, queue: WatchedQueue | null): Live => {
  const lookers = new Set<Looker>()
  let [queueState, problem]: [QueueState | null, string | null] = [null, null]
  const timers = new Map<string, NodeJS.Timeout>()
  let closed = false

  /** Does `work` again and again while somebody looks, one after another. */
  const keepOn = (name: string, every: number, rest: number, work: () => Promise<void>): void => {
    if (timers.has(name) || closed) return
    const turn = async (): Promise<void> => {
      const began = performance.now()
      await work().catch((thrown: unknown) => {
        problem = reason(thrown)
      })
      if (closed) return
      if (lookers.size === 0) timers.delete(name)
      else
        timers.set(
          name,
          setTimeout(() => void turn(), Math.max(every, rest * (performance.now() - began))),
        )
    }
    timers.set(
      name,
      setTimeout(() => void turn(), 0),
    )
  }

  const start = (): void => {
    keepOn('watch', interval, restAfterLook, async () => {
      await watch.refresh()
      problem = null
      for (const looker of lookers) void tell(looker)
    })
    keepOn('tell', interval, 0, async () => {
      for (const looker of lookers) void tell(looker)
    })
    if (queue !== null)
      keepOn('queue', queueInterval, restAfterLook, async () => {
        queueState = await queue.look()
      })
  }

  const tell = async (looker: Looker): Promise<void> => {
    const { response } = looker
    if (looker.busy || response.destroyed) return
    if (response.writableLength > 0) {
      looker.since ??= performance.now()
      if (performance.now() - looker.since > deaf) response.destroy()
      return // it has not read what it was told: nothing is heaped up for it
    }
    looker.since = null
    looker.busy = true
    try {
      const parts = await partsFor(looker)
      const names = new Set(parts.map(([name]) => name))
      for (const name of looker.told.keys()) if (name.startsWith('run ') && !names.has(name)) looker.told.delete(name) // it may come back
      const fresh = parts.filter(([name, value]) => {
        const digest = createHash('sha1').update(JSON.stringify(value)).digest('base64')
        if (looker.told.get(name) === digest) return false
        looker.told.set(name, digest)
        return true
      })
      const beats = performance.now() - looker.heard > heartbeat
      if (fresh.length === 0 && !beats) return
      looker.heard = performance.now()
      response.write(fresh.length === 0 ? ': still here\n\n' : `data: ${JSON.stringify(Object.fromEntries(fresh))}\n\n`)
    } catch (thrown) {
      problem = reason(thrown)
    } finally {
      looker.busy = false
    }
  }

  const partsFor = async (looker: Looker): Promise<ReadonlyArray<readonly [string, unknown]>> => {
    const { kind, ids } = looker.view
    const runs = watch.runs()
    const about = ['about', { problem: problem ?? watch.more(), queue: queueState }] as const
    if (kind === 'list') {
      const lines = [...runs.values()].map(runLine)
      return [
        about,
        ['sweeps', [...watch.sweeps().values()].map(sweepLine)],
        ['order', lines.map(({ id }) => id)],
        ...lines.map((line) => [`run ${line.id}`, line] as const),
      ]
    }
    if (kind === 'sweep') {
      const sweep = watch.sweeps().get(ids[0] ?? '')
      return [about, ['sweep', sweep === undefined ? null : sweepView(sweep)]]
    }
    const shown = ids.flatMap((id) => runs.get(id) ?? [])
    const [first] = shown
    const text =
      kind === 'compare'
        ? (['compare', compareView(shown)] as const)
        : (['run', first === undefined ? null : runView(first, first.state === 'running' ? await holderOf(first.folder) : null)] as const)
    return [about, text, ...(await pictureParts(looker, shown))]
  }

  const pictureParts = async (looker: Looker, shown: ReadonlyArray<WatchedRun>): Promise<ReadonlyArray<readonly [string, unknown]>> => {
    const drawn = shown.length === 0 ? null : await studio.draw(shown, looker.version)
    if (drawn === null) return []
    looker.version = drawn.version
    return [
      ['figures', { names: drawn.pictures.map(({ name }) => name), odd: drawn.odd.map(escapeText) }],
      ...drawn.pictures.map((picture) => [`figure ${picture.name}`, picture] as const),
    ]
  }

  return {
    hasRoom: () => lookers.size < pageLimit,
    follow: (response, view) => {
      const looker: Looker = { view, response, told: new Map(), version: null, busy: false, heard: performance.now(), since: null }
      lookers.add(looker)
      response.on('close', () => lookers.delete(looker))
      response.write(': the board\n\n')
      start()
      void tell(looker)
    },
    stop: async (id) => {
      if (!watch.runs().has(id)) await watch.refresh() // nobody looked yet
      const run = watch.runs().get(id)
      if (run === undefined) return { stopped: false, line: 'there is no such run here' }
      const holder = await stopHolder(run.folder)
      return typeof holder === 'string'
        ? { stopped: false, line: `it was not stopped: ${holder}` }
        : { stopped: true, line: `It was told to stop. ${effectOf(holder, run)}` }
    },
    close: () => {
      closed = true
      for (const timer of timers.values()) clearTimeout(timer)
      for (const { response } of lookers) response.destroy()
    },
  }
}
