/**
 * Sends a run's points to a tracker in the background; training never waits for it. Points queue up to a bound.
 * A failed request is repeated after a pause, and a server that refuses is left alone. One warning says so, and the number of lost points
 * follows at the end.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { TrackerError, type Point, type RunDescription, type RunStatus, type StoredRun, type TrackerService } from './service.js'

export type SenderLimits = {
  /** points that wait at most; the oldest are dropped */
  readonly queue: number
  /** milliseconds of one request */
  readonly request: number
  /** milliseconds in which points are gathered for one request */
  readonly gather: number
  /** milliseconds before a failed request is repeated: at first, and at most */
  readonly retry: readonly [first: number, longest: number]
  /** milliseconds for the rest at the end of the run */
  readonly flush: number
}

export const senderLimits: SenderLimits = { queue: 20_000, request: 10_000, gather: 1000, retry: [1000, 60_000], flush: 5000 }

export type Notice = { readonly kind: 'url' | 'warning'; readonly text: string }

export type Sender = {
  readonly add: (points: readonly Point[]) => void
  /** Sends what is left within the bound, then the status. Never throws. */
  readonly close: (status: RunStatus) => Promise<void>
  /** What happened since the last call. */
  readonly takeNotices: () => readonly Notice[]
}

export const startSender = (service: TrackerService, run: RunDescription, limits: SenderLimits = senderLimits): Sender => {
  let [queue, notices]: [readonly Point[], readonly Notice[]] = [[], []]
  let lost = 0
  let [status, earlier]: [RunStatus | null, StoredRun | null] = [null, run.earlier]
  // the run is over, so nothing pauses · no time is left for points · no time is left at all
  const [closing, drained, ended] = [new AbortController(), new AbortController(), new AbortController()]

  const drop = (count: number): void => {
    queue = queue.slice(count)
    lost += count
  }

  const warn = (text: string): void => {
    notices = [...notices, { kind: 'warning', text }]
  }

  const { attempt, repeat } = makeRequests(service.address, limits, closing.signal, drained.signal, warn)

  // what a failed attempt to open a run created, the next one uses
  const store = async (stored: StoredRun): Promise<void> => {
    await run.store(stored)
    earlier = stored
  }

  /** Never throws. */
  const send = async (): Promise<void> => {
    const tracked = await repeat((signal) => service.open({ ...run, earlier, store }, signal))
    if (tracked === null) return
    notices = [...notices, { kind: 'url', text: tracked.url }]
    for (;;) {
      const batch = queue.slice(0, service.batchSize)
      queue = queue.slice(batch.length)
      const points = batch.filter(({ key, step }) => step > (tracked.lastSteps.get(key) ?? -1))
      if (points.length > 0 && (await repeat((signal) => tracked.log(points, signal).then(() => true))) === null) lost += points.length
      if ((queue.length === 0 && closing.signal.aborted) || drained.signal.aborted) break
      if (queue.length === 0) await pauseUntil(limits.gather, closing.signal)
    }
    const last = status
    if (last !== null) await attempt(ended.signal, (signal) => tracked.finish(last, signal))
  }

  const sending = send()
  return {
    add: (points) => {
      queue = [...queue, ...points]
      drop(Math.max(0, queue.length - limits.queue))
    },
    close: async (last) => {
      status = last
      closing.abort()
      // a fifth of the time is the status's own, so that a long queue cannot use it up
      const timers = [setTimeout(() => drained.abort(), 0.8 * limits.flush), setTimeout(() => ended.abort(), limits.flush)]
      await sending
      for (const timer of timers) clearTimeout(timer)
      drop(queue.length)
      if (lost > 0) warn(`${service.address}: ${lost} points of the run were not recorded; metrics.jsonl has all of them`)
    },
    takeNotices: () => {
      const taken = notices
      notices = []
      return taken
    },
  }
}

/** Requests within their time. @param closing ends long pauses @param drained ends repetitions */
const makeRequests = (address: string, limits: SenderLimits, closing: AbortSignal, drained: AbortSignal, warn: (text: string) => void) => {
  let hasWarned = false
  /** The first failure of a run warns. */
  const attempt = async <T>(end: AbortSignal, request: (signal: AbortSignal) => Promise<T>): Promise<Outcome<T>> => {
    const outcome = await withinTime(limits.request, end, request)
    if ('value' in outcome || hasWarned) return outcome
    hasWarned = true
    const got = outcome.failure.message === 'silence' ? 'no answer in time' : outcome.failure.message
    warn(`${address}: expected the tracker to record the run, got ${got}; training continues`)
    return outcome
  }

  /** Repeats a request that fails, with longer and longer pauses. null: the server refuses, or the run ended. */
  const repeat = async <T>(request: (signal: AbortSignal) => Promise<T>): Promise<T | null> => {
    for (let wait = limits.retry[0]; ; wait = Math.min(2 * wait, limits.retry[1])) {
      const outcome = await attempt(drained, request)
      if ('value' in outcome) return outcome.value
      if (!outcome.failure.temporary || drained.aborted) return null
      await pauseUntil(wait, closing.aborted ? drained : closing)
    }
  }
  return { attempt, repeat }
}

const pauseUntil = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  pause(milliseconds, undefined, { signal, ref: false }).catch(() => undefined)

type Outcome<T> = { readonly value: T } | { readonly failure: TrackerError }

const withinTime = async <T>(milliseconds: number, end: AbortSignal, request: (signal: AbortSignal) => Promise<T>): Promise<Outcome<T>> => {
  const timer = new AbortController()
  const timeout = setTimeout(() => timer.abort(), milliseconds)
  try {
    return { value: await request(AbortSignal.any([timer.signal, end])) }
  } catch (thrown) {
    return { failure: thrown instanceof TrackerError ? thrown : new TrackerError(String(thrown), false) }
  } finally {
    clearTimeout(timeout)
  }
}
