/**
 * Streams the board's state to the connected pages. While no page is connected, nothing is read and nothing is drawn. A page receives the changed
 * parts of its view's state; one that reads slowly receives fewer events, so none pile up.
 */
import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import type { ContentSource } from './content.js'
import type { BoardState, QueueState, View } from './events.js'
import type { WatchedQueue } from './queueState.js'
import { stopRunProcess } from './runProcess.js'
import { openSentenceModel, type Sentence, type SentenceModel } from './sentenceModel.js'
import { stopEffect } from './runViews.js'
import { viewState, type ViewState } from './viewState.js'
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

export const openEventStream = (watch: Watch, content: ContentSource, queue: WatchedQueue | null): EventStream => {
  const clients = new Set<Client>()
  const model = openSentenceModel()
  let problem: string | null = null
  let queueState: QueueState | null = null
  const onError = (thrown: unknown): void => {
    problem = reason(thrown)
  }
  const update = async (client: Client): Promise<void> => {
    const board = { problem: problem ?? watch.problem(), queue: queueState }
    await client.update((view, knownFigures) => viewState(view, { watch, content, board }, knownFigures)).catch(onError)
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

type Client = {
  readonly response: ServerResponse
  /** Sends what has changed since the last event, unless the page has not read that one yet. */
  readonly update: (stateOf: (view: View, knownFigures: string | null) => Promise<ViewState>) => Promise<void>
}

/** Milliseconds between heartbeats. */
const heartbeatInterval = 10_000
/** Milliseconds after which a page that reads nothing is disconnected. */
const stallTimeout = 60_000

const newClient = (response: ServerResponse, view: View): Client => {
  const sent = new Map<string, string>()
  let figuresVersion: string | null = null
  let isUpdating = false
  let lastSent = performance.now()
  let stalledSince: number | null = null
  const isStalled = (): boolean => {
    if (response.writableLength === 0) stalledSince = null
    else stalledSince ??= performance.now()
    if (stalledSince !== null && performance.now() - stalledSince > stallTimeout) response.destroy()
    return stalledSince !== null
  }
  const write = (text: string): void => {
    lastSent = performance.now()
    response.write(`${text}\n\n`)
  }
  return {
    response,
    update: async (stateOf) => {
      if (isUpdating || response.destroyed || isStalled()) return
      isUpdating = true
      try {
        const next = await stateOf(view, figuresVersion)
        figuresVersion = next.figuresVersion
        const changed = changedParts(next.state, sent)
        if (Object.keys(changed).length > 0) write(`data: ${JSON.stringify(changed)}`)
        else if (performance.now() - lastSent > heartbeatInterval) write(': heartbeat')
      } finally {
        isUpdating = false
      }
    },
  }
}

/** The parts whose digests differ from the sent ones, which are updated. */
const changedParts = (state: BoardState, sent: Map<string, string>): BoardState => {
  for (const name of sent.keys()) if (name.startsWith('run ') && !(name in state)) sent.delete(name) // the run may come back
  const changed = Object.entries(state).filter(([name, part]) => {
    const digest = createHash('sha1').update(JSON.stringify(part)).digest('base64')
    if (sent.get(name) === digest) return false
    sent.set(name, digest)
    return true
  })
  return Object.fromEntries(changed) as BoardState
}

type RepeatedWork = {
  /** milliseconds from the end of one execution to the start of the next, at least */
  readonly interval: number
  /** slow work rests for this multiple of its own time */
  readonly restFactor: number
  readonly isNeeded: () => boolean
  readonly onError: (thrown: unknown) => void
  readonly run: () => Promise<void>
}

/** @returns functions that start the work if it is not running, and that stop it for good */
const repeat = ({ interval, restFactor, isNeeded, onError, run }: RepeatedWork) => {
  let timer: NodeJS.Timeout | null = null
  let isStopped = false
  const schedule = (delay: number): void => {
    timer = setTimeout(() => void turn(), delay)
  }
  const turn = async (): Promise<void> => {
    const started = performance.now()
    await run().catch(onError)
    if (isStopped) return
    if (isNeeded()) schedule(Math.max(interval, restFactor * (performance.now() - started)))
    else timer = null
  }
  return {
    start: (): void => {
      if (timer === null && !isStopped) schedule(0)
    },
    stop: (): void => {
      isStopped = true
      if (timer !== null) clearTimeout(timer)
    },
  }
}
