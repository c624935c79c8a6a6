/**
 * The leader of a run on several machines. It publishes each step, takes parts itself, and collects the gradients of the others. Redis only
 * carries them: the leader publishes again what Redis loses, and computes every part while it is down.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { InputError, inputError, reason } from '../../accelerated/errors/inputError.js'
import { TrainingError } from '../../accelerated/errors/expectedErrors.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { AnswersExecutor } from '../../accelerated/training/answerParts.js'
import type { PartExecutor } from '../../accelerated/training/partGradient.js'
import type { Exchange } from './exchange.js'
import type { Work } from './frame.js'
import { firstLease, openPace, type WorkersReport } from './pace.js'
import type { Leadership } from './leadership.js'
import type { QueueEvent } from './redis.js'
import { endRun, keepRun, takeLead } from './runKeys.js'
import { spreadParts, spreadStep, workOf } from './spreadParts.js'

export type LeaderEvent =
  | { readonly kind: 'warning'; readonly message: string }
  | QueueEvent
  | ({ readonly kind: 'workers'; readonly step: number } & WorkersReport)

export type LeaderOptions = {
  readonly client: Redis
  /** the run's id in Redis */
  readonly id: string
  /** names this process, as workers see it */
  readonly leader: string
  /** whether another leader is known to be dead, so that its lead is free */
  readonly isGone: (leader: string) => boolean
  /** what workers need to join, as JSON */
  readonly setup: string
  readonly dtype: FloatType
  readonly exchange: Exchange
}

export type Leader = {
  readonly executor: PartExecutor
  readonly answers: AnswersExecutor
  /** What happened since the last call. */
  readonly events: () => ReadonlyArray<LeaderEvent>
  /** Ends the run in Redis and closes the connection. */
  readonly close: () => Promise<void>
}

/** Milliseconds of the leader's own lease at least, and between its signs of life. */
const [shortestLease, signInterval] = [60_000, 10_000]

/** Milliseconds before Redis is tried again, and for the start and the end of the run. */
const [retryDelay, openPatience, closePatience] = [1_000, 5_000, 2_000]

/** @throws InputError if another process leads this run */
export const openLeader = async (options: LeaderOptions): Promise<Leader> => {
  const { client, id, leader } = options
  const [events, said]: [LeaderEvent[], Set<string>] = [[], new Set()]
  const warn = (message: string): void => {
    if (!said.has(message)) events.push({ kind: 'warning', message })
    said.add(message)
  }
  const paces = { gradients: openPace(), rounds: openPace(undefined, firstLease.round), answers: openPace() }
  const look = (work: Work, step: number): void => {
    const report = paces[work].report()
    if (report !== null) events.push({ kind: 'workers', step, ...report })
  }
  const leadership: Leadership = {
    ...options,
    paces,
    trusted: { gradients: new Set(), rounds: new Set(), answers: new Set() },
    refused: new Set(),
    warn,
    ...leadershipAt(options, paces, warn),
  }
  await firstLead(leadership)
  // by a timer, since a part of a round may take longer than the lease
  const signs = setInterval(() => void leadership.attempt(() => keepRun(client, id, leadership.lease())), signInterval).unref()
  return {
    executor: async (step) => {
      const parts = await spreadStep(leadership, step)
      look(workOf(step), step.step + 1)
      return parts
    },
    answers: async function* (evaluation) {
      for await (const part of spreadParts(leadership, 'answers', evaluation)) {
        look('answers', evaluation.step)
        yield part
      }
    },
    events: () => events.splice(0),
    close: async () => {
      clearInterval(signs)
      const until = performance.now() + closePatience
      const end = (): Promise<boolean> =>
        endRun(client, id, leader).then(
          () => true,
          () => false,
        )
      while (!(await end()) && performance.now() < until) await sleep(100)
      client.disconnect()
    },
  }
}

/** Takes the lead. A Redis that is just restarting is tried for a while. @throws InputError */
const firstLead = async ({ client, lead }: Leadership): Promise<void> => {
  const until = performance.now() + openPatience
  for (;;) {
    try {
      return await lead()
    } catch (thrown) {
      if (thrown instanceof InputError) throw thrown
      if (client.status === 'ready' || performance.now() > until)
        throw inputError('--redis', 'a Redis that stores what a run publishes', reason(thrown))
      await sleep(100)
    }
  }
}

const leadershipAt = (
  { client, id, leader, setup, isGone }: LeaderOptions,
  paces: Leadership['paces'],
  warn: Leadership['warn'],
): Pick<Leadership, 'lead' | 'lease' | 'attempt'> => {
  let failedAt = -Infinity
  const lease = (): number => Math.max(shortestLease, ...Object.values(paces).map((pace) => 5 * pace.lease()))
  const lead = async (gone = ''): Promise<void> => {
    const other = await takeLead(client, id, { leader, lease: lease(), setup, gone })
    if (other === null) return
    if (gone === '' && isGone(other)) return lead(other)
    const left = Math.ceil(lease() / 1_000)
    throw inputError('--redis', 'no other leader of this run', `${other} (if it is gone, its lease ends within ${left} s)`)
  }
  return {
    lease,
    lead: () => lead(),
    attempt: async (work) => {
      if (client.status !== 'ready' || performance.now() - failedAt < retryDelay) return null
      try {
        return await work()
      } catch (thrown) {
        if (thrown instanceof InputError) throw new TrainingError(thrown.message)
        if (thrown instanceof TrainingError) throw thrown
        failedAt = performance.now()
        if (client.status === 'ready')
          warn(`Redis refuses: ${reason(thrown)}; this process computes all parts until Redis accepts them again`)
        return null
      }
    },
  }
}
