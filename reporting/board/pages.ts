/**
 * The pages that are open: each receives the changed parts of its view, once a second. The pages do the asking: while none is open, nothing is read
 * and nothing is drawn. A page that reads slowly delays its own loop, so it receives fewer events and none pile up.
 */
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { SSEStreamingApi } from 'hono/streaming'
import { reason } from '../../accelerated/errors/inputError.js'
import { resultOrMessage } from '../runs/resultOrMessage.js'
import { escapeText } from '../text/html.js'
import { openContent } from './content.js'
import type { BoardState, View } from './events.js'
import { findRunProcess } from './runProcess.js'
import { compareView, runLine, runView, sweepLine, sweepView } from './views.js'
import type { Watch } from './watch.js'

/** Maximum number of open pages. */
export const clientLimit = 16
/** Milliseconds between two updates of a page, two signs of life, and until a page that reads nothing is disconnected. */
const [updateInterval, heartbeatInterval, stallTimeout] = [1_000, 10_000, 60_000]
/** Reading rests for this multiple of its own time. */
const readRestFactor = 3

export type Pages = {
  readonly hasCapacity: () => boolean
  /** Sends the view until the page goes. @param disconnect ends the connection of a page that reads nothing */
  readonly serve: (stream: SSEStreamingApi, view: View, disconnect: () => void) => Promise<void>
}

export const openPages = (watch: Watch): Pages => {
  const open = new Set<SSEStreamingApi>()
  const content = openContent()
  let problem: string | null = null
  const readFolder = atMostEvery(updateInterval, async () => {
    problem = await watch.refresh().then(() => null, reason)
  })
  return {
    hasCapacity: () => open.size < clientLimit,
    serve: async (stream, view, disconnect) => {
      open.add(stream)
      stream.onAbort(() => void open.delete(stream))
      const sent = new Map<string, string>()
      let [version, lastSent]: [string | null, number] = [null, 0]
      const send = async (write: () => Promise<unknown>): Promise<void> => {
        const stalled = setTimeout(disconnect, stallTimeout)
        await write().finally(() => clearTimeout(stalled))
        lastSent = performance.now()
      }
      await send(() => stream.write(': connected\n\n'))
      while (!stream.aborted) {
        await Promise.race([readFolder(), pause(updateInterval, undefined, { ref: false })])
        const board = { problem: problem ?? watch.problem() }
        const next: ViewState = await viewState(view, watch, content, version).catch((thrown: unknown) => ({
          state: { board: { problem: reason(thrown) } },
          version: null,
        }))
        version = next.version
        const changed = changedParts({ board, ...next.state }, sent)
        if (Object.keys(changed).length > 0) await send(() => stream.writeSSE({ data: JSON.stringify(changed) }))
        else if (performance.now() - lastSent > heartbeatInterval) await send(() => stream.write(': heartbeat\n\n'))
        await pause(updateInterval, undefined, { ref: false })
      }
    },
  }
}

/** Pages share the work: who asks while it runs waits for it, and who asks too early gets what is there. */
const atMostEvery = (interval: number, work: () => Promise<void>): (() => Promise<void>) => {
  let [running, due]: [Promise<void> | null, number] = [null, 0]
  return async () => {
    const started = performance.now()
    if (running === null && started < due) return
    running ??= work().finally(() => {
      running = null
      due = performance.now() + Math.max(0.9 * interval, readRestFactor * (performance.now() - started)) // a timer may be early
    })
    await running
  }
}

/** The parts whose digests differ from the sent ones, which are updated. */
const changedParts = (state: BoardState, sent: Map<string, string>): BoardState => {
  for (const name of sent.keys()) if (name.startsWith('run ') && !(name in state)) sent.delete(name) // the run may come back
  const changed = Object.entries(state).filter(([name, part]) => {
    const digest = createHash('sha1').update(JSON.stringify(part)).digest('base64')
    const isNew = sent.get(name) !== digest
    sent.set(name, digest)
    return isNew
  })
  return Object.fromEntries(changed) as BoardState
}

type ViewState = { readonly state: BoardState; readonly version: string | null }

/** @param version of the figures that the page has: the state only contains newer ones */
const viewState = async (
  { kind, ids }: View,
  watch: Watch,
  content: ReturnType<typeof openContent>,
  version: string | null,
): Promise<ViewState> => {
  if (kind === 'list') {
    const lines = [...watch.runs().values()].map(runLine)
    const byId = Object.fromEntries(lines.map((line) => [`run ${line.id}`, line]))
    return { state: { sweeps: [...watch.sweeps().values()].map(sweepLine), order: lines.map(({ id }) => id), ...byId }, version }
  }
  if (kind === 'sweep') {
    const sweep = watch.sweeps().get(ids[0] ?? '')
    return { state: { sweep: sweep === undefined ? null : sweepView(sweep) }, version }
  }
  const runs = ids.flatMap((id) => watch.runs().get(id) ?? [])
  const [run = null] = runs
  const view =
    kind === 'compare'
      ? { compare: compareView(runs) }
      : { run: run && runView(run, run.status === 'running' ? await findRunProcess(run.folder) : null) }
  const [drawn, unreadable] = runs.length === 0 ? [null, null] : await resultOrMessage(() => content.read(runs, version))
  if (unreadable !== null) return { state: { ...view, figures: { names: [], problems: [escapeText(unreadable)] } }, version: null }
  if (drawn === null) return { state: view, version }
  const figures = { names: drawn.figures.map(({ name }) => name), problems: drawn.problems.map(escapeText) }
  const byName = Object.fromEntries(drawn.figures.map((figure) => [`figure ${figure.name}`, figure]))
  return { state: { ...view, figures, tables: drawn.tables, ...byName }, version: drawn.version }
}
