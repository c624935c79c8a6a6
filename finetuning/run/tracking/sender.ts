/**
 * Sends a run's points to a tracker in the background; training never waits for it. Points queue up to a bound.
 * A failed request is repeated after a pause, and a server that refuses is left alone. One warning says so, and the number of lost points
 * follows at the end.
 */
import { setTimeout as pause } from 'node:timers/promises'
import {
  TrackerError,
  type Point,
  type RunDescription,
  type RunStatus,
  type StoredRun,
  type TrackedRun,
  type TrackerService,
} from './service.js'

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
  const state: State = { queue: [], lost: 0, notices: [], hasWarned: false, status: null }
  const [closing, drained, ended] = [new AbortController(), new AbortController(), new AbortController()]
  const sending = send({ service, run, limits, state, closing: closing.signal, drained: drained.signal, ended: ended.signal })
  return {
    add: (points) => {
      state.queue = [...state.queue, ...points]
      drop(state, Math.max(0, state.queue.length - limits.queue))
    },
    close: async (status) => {
      state.status = status
      closing.abort()
      // a fifth of the time is the status's own, so that a long queue cannot use it up
      const timers = [setTimeout(() => drained.abort(), 0.8 * limits.flush), setTimeout(() => ended.abort(), limits.flush)]
      await sending
      for (const timer of timers) clearTimeout(timer)
      drop(state, state.queue.length)
      if (state.lost > 0)
        warn(state, `${service.address}: ${state.lost} points of the run were not recorded; metrics.jsonl has all of them`)
    },
    takeNotices: () => {
      const { notices } = state
      state.notices = []
      return notices
    },
  }
}

type State = {
  queue: readonly Point[]
  lost: number
  notices: readonly Notice[]
  hasWarned: boolean
  status: RunStatus | null
}

type Sending = {
  readonly service: TrackerService
  readonly run: RunDescription
  readonly limits: SenderLimits
  readonly state: State
  /** the run is over: no pause any more */
  readonly closing: AbortSignal
  /** no time is left for points */
  readonly drained: AbortSignal
  /** no time is left at all */
  readonly ended: AbortSignal
}

const drop = (state: State, count: number): void => {
  state.queue = state.queue.slice(count)
  state.lost += count
}

const warn = (state: State, text: string): void => {
  state.notices = [...state.notices, { kind: 'warning', text }]
}

/** Never throws. */
const send = async (sending: Sending): Promise<void> => {
  const { service, state, closing, drained, ended } = sending
  const tracked = await opened(sending)
  if (tracked === null) return
  state.notices = [...state.notices, { kind: 'url', text: tracked.url }]
  for (;;) {
    const isNew = ({ key, step }: Point): boolean => step > (tracked.lastSteps.get(key) ?? -1)
    const batch = state.queue.slice(0, service.batchSize)
    state.queue = state.queue.slice(batch.length)
    const points = batch.filter(isNew)
    if (points.length > 0 && !(await logged(sending, tracked, points))) state.lost += points.length
    if (state.queue.length === 0 && closing.aborted) break
    if (drained.aborted) break
    if (state.queue.length === 0) await pauseUntil(sending.limits.gather, closing)
  }
  const { status } = state
  if (status !== null) await attempt(sending, ended, (signal) => tracked.finish(status, signal))
}

/** The tracker's run, or null if the server refuses, or does not answer before the end. What a failed attempt created, the next one uses. */
const opened = async (sending: Sending): Promise<TrackedRun | null> => {
  const { service, run } = sending
  let { earlier } = run
  const store = async (stored: StoredRun): Promise<void> => {
    await run.store(stored)
    earlier = stored
  }
  return repeated(sending, (signal) => service.open({ ...run, earlier, store }, signal))
}

/** Whether the server took the points. */
const logged = async (sending: Sending, tracked: TrackedRun, points: readonly Point[]): Promise<boolean> =>
  (await repeated(sending, async (signal) => {
    await tracked.log(points, signal)
    return true
  })) ?? false

/** Repeats a request that fails, with longer and longer pauses. null: the server refuses, or the run ended. */
const repeated = async <T>(sending: Sending, request: (signal: AbortSignal) => Promise<T>): Promise<T | null> => {
  const { limits, closing, drained } = sending
  for (let wait = limits.retry[0]; ; wait = Math.min(2 * wait, limits.retry[1])) {
    const outcome = await attempt(sending, drained, request)
    if ('value' in outcome) return outcome.value
    if (!outcome.temporary || drained.aborted) return null
    await pauseUntil(wait, closing.aborted ? drained : closing)
  }
}

type Outcome<T> = { readonly value: T } | { readonly temporary: boolean }

/** One request within its time. The first failure of a run warns. */
const attempt = async <T>(
  { service, limits, state }: Sending,
  end: AbortSignal,
  request: (signal: AbortSignal) => Promise<T>,
): Promise<Outcome<T>> => {
  const timer = new AbortController()
  const timeout = setTimeout(() => timer.abort(), limits.request)
  try {
    return { value: await request(AbortSignal.any([timer.signal, end])) }
  } catch (thrown) {
    const failure = thrown instanceof TrackerError ? thrown : new TrackerError(String(thrown), false)
    if (!state.hasWarned) {
      state.hasWarned = true
      const got = failure.message === 'silence' ? 'no answer in time' : failure.message
      warn(state, `${service.address}: expected the tracker to record the run, got ${got}; training continues`)
    }
    return { temporary: failure.temporary }
  } finally {
    clearTimeout(timeout)
  }
}

const pauseUntil = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  pause(milliseconds, undefined, { signal, ref: false }).catch(() => undefined)
