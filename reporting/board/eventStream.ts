/** Streams the board's state to the connected pages. While no page is connected, nothing is read and nothing is drawn. */
import type { ServerResponse } from 'node:http'
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import type { ChartRenderer } from './chartCache.js'
import { newClient, type Client } from './client.js'
import type { QueueState, View } from './events.js'
import type { WatchedQueue } from './queueState.js'
import { repeat } from './repeat.js'
import { stopRunProcess } from './runProcess.js'
import { openSentenceModel, type Sentence, type SentenceModel } from './sentenceModel.js'
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
  /** Classifies a sentence with the run's adapter. @throws InputError for a run, or a sentence, that cannot be used */
  readonly classify: (id: string, sentence: Sentence) => ReturnType<SentenceModel['classify']>
  readonly stopRun: (id: string) => Promise<{ readonly isStopped: boolean; readonly message: string }>
  readonly close: () => Promise<void>
}

export const openEventStream = (watch: Watch, charts: ChartRenderer, queue: WatchedQueue | null): EventStream => {
  const clients = new Set<Client>()
  const model = openSentenceModel()
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
    classify: async (id, sentence) => {
      const run = watch.runs().get(id)
      if (run === undefined) throw inputError('the board', 'a run of this folder', 'an unknown one')
      return model.classify(run, sentence)
    },
    stopRun: (id) => stopRun(watch, id),
    close: async () => {
      for (const { stop } of work) stop()
      for (const { response } of clients) response.destroy()
      await model.close()
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
