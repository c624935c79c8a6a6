/** Streams the board's state to the connected pages. While no page is connected, nothing is read and nothing is drawn. */
import type { ServerResponse } from 'node:http'
import { reason } from '../../accelerated/errors/inputError.js'
import type { ChartRenderer } from './chartCache.js'
import { newClient, type Client } from './client.js'
import type { QueueState, View } from './events.js'
import type { WatchedQueue } from './queueState.js'
import { repeat } from './repeat.js'
import { stopRunProcess } from './runProcess.js'
import { stopEffect } from './views/runView.js'
import { viewState } from './viewState.js'
import type { Watch } from './watch.js'

/** Milliseconds between two updates of the pages, and between two reads of the queue. */
const [updateInterval, queueInterval] = [1_000, 2_000]
/** Reading rests for this multiple of its own time. */
const readRestFactor = 3
/** Maximum number of connected pages. */
export const clientLimit = 16

export type EventStream = {
  readonly hasCapacity: () => boolean
  readonly addClient: (response: ServerResponse, view: View) => void
  readonly stopRun: (id: string) => Promise<{ readonly isStopped: boolean; readonly message: string }>
  readonly close: () => void
}

export const openEventStream = (watch: Watch, charts: ChartRenderer, queue: WatchedQueue | null): EventStream => {
  const clients = new Set<Client>()
  let problem: string | null = null
  let queueState: QueueState | null = null
  const onError = (thrown: unknown): void => {
    problem = reason(thrown)
  }
  const update = async (client: Client): Promise<void> => {
    const board = { problem: problem ?? watch.problem(), queue: queueState }
    await client.update((view, knownFigures) => viewState(view, { watch, charts, board }, knownFigures)).catch(onError)
  }
  const updateAll = async (): Promise<void> => {
    for (const client of clients) void update(client)
  }
  const readFolder = async (): Promise<void> => {
    await watch.refresh()
    problem = null
    await updateAll()
  }
  const readQueue = async (): Promise<void> => {
    if (queue !== null) queueState = await queue.read()
  }
  const whileConnected = { isNeeded: () => clients.size > 0, onError }
  const work = [
    repeat({ ...whileConnected, run: readFolder, interval: updateInterval, restFactor: readRestFactor }),
    repeat({ ...whileConnected, run: updateAll, interval: updateInterval, restFactor: 0 }),
    repeat({ ...whileConnected, run: readQueue, interval: queueInterval, restFactor: readRestFactor }),
  ]
  return {
    hasCapacity: () => clients.size < clientLimit,
    addClient: (response, view) => {
      const client = newClient(response, view)
      clients.add(client)
      response.on('close', () => clients.delete(client))
      response.write(': connected\n\n')
      for (const { start } of work) start()
      void update(client)
    },
    stopRun: (id) => stopRun(watch, id),
    close: () => {
      for (const { stop } of work) stop()
      for (const { response } of clients) response.destroy()
    },
  }
}

const stopRun: (watch: Watch, id: string) => ReturnType<EventStream['stopRun']> = async (watch, id) => {
  if (!watch.runs().has(id)) await watch.refresh() // no page has been connected yet
  const run = watch.runs().get(id)
  if (run === undefined) return { isStopped: false, message: 'unknown run' }
  const stopped = await stopRunProcess(run.folder)
  return typeof stopped === 'string'
    ? { isStopped: false, message: `not stopped: ${stopped}` }
    : { isStopped: true, message: `Stopping. ${stopEffect(stopped, run)}` }
}
