/** The leader of a run on several machines: it offers the run to workers, spreads steps and evaluations, and ends the run in Redis. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { InputError, inputError, reason } from '../../accelerated/errors/inputError.js'
import { TrainingError } from '../../accelerated/errors/expectedErrors.js'
import { option } from '../../accelerated/errors/words.js'
import type { MicroBatchGradient } from '../../accelerated/training/microBatchGradient.js'
import type { Work } from './frame.js'
import type { Leader, LeaderEvent } from './leaderEvents.js'
import { openPace } from './pace.js'
import { loadBullmq, settlesWithin } from './redis.js'
import { endRun, liveRuns, offerRun, openPartQueue, hashRunId } from './runKeys.js'
import { spreadMicroBatches, type Leading } from './spreadMicroBatches.js'

export type LeaderOptions = Pick<Leading, 'client' | 'name' | 'signer' | 'dtype' | 'exchange' | 'checkedShare'> & {
  /** the run's folder on this machine, which no other process has now */
  readonly place: string
  /** what workers need to join, as JSON with the signer's public key */
  readonly setup: string
}

/** Milliseconds between signs of life, before Redis is tried again, and for the start and the end of the run. */
const [signInterval, retryDelay, openPatience, closePatience] = [10_000, 1_000, 5_000, 2_000]

/** @throws InputError if bullmq is not installed, or Redis stores nothing */
export const openLeader = async (options: LeaderOptions): Promise<Leader> => {
  const { client, place, setup } = options
  const bullmq = await loadBullmq()
  const offered = { place, id: hashRunId(setup) }
  const [events, said]: [LeaderEvent[], Set<string>] = [[], new Set()]
  const warn = (message: string): void => {
    if (!said.has(message)) events.push({ kind: 'warning', message })
    said.add(message)
  }
  const offer = (): Promise<void> => offerRun(client, offered, setup)
  await firstOffer(client, async () => {
    await liveRuns(bullmq, client) // removes what a dead leader has left
    await offer()
  })
  let published = 0
  const leading: Leading = {
    ...options,
    id: offered.id,
    queue: openPartQueue(bullmq, client, offered.id),
    paces: { gradients: openPace(), answers: openPace() },
    trusted: { gradients: new Map(), answers: new Map() },
    refused: new Set(),
    warn,
    nextToken: () => String(++published),
    attempt: makeAttempt(client, warn),
  }
  const signs = setInterval(() => void leading.attempt(offer), signInterval).unref()
  const look = (work: Work, step: number): void => {
    const report = leading.paces[work].report()
    if (report !== null) events.push({ kind: 'workers', step, ...report })
  }
  return {
    executor: async (step) => {
      const gradients = new Array<MicroBatchGradient>(step.parts)
      for await (const [part, gradient] of spreadMicroBatches(leading, 'gradients', step)) gradients[part] = gradient
      look('gradients', step.step + 1)
      return gradients
    },
    answers: async function* (evaluation) {
      for await (const part of spreadMicroBatches(leading, 'answers', evaluation)) {
        look('answers', evaluation.step)
        yield part
      }
    },
    events: () => events.splice(0),
    close: async () => {
      clearInterval(signs)
      await settlesWithin(
        closePatience,
        repeat(closePatience, () => endRun(bullmq, client, offered)),
      )
      client.disconnect()
    },
  }
}

/** Repeats what fails, for some milliseconds. @throws its last error */
const repeat = async <T>(milliseconds: number, work: () => Promise<T>, isFinal: (thrown: unknown) => boolean = () => false): Promise<T> => {
  const until = performance.now() + milliseconds
  for (;;) {
    try {
      return await work()
    } catch (thrown) {
      if (isFinal(thrown) || performance.now() > until) throw thrown
      await sleep(100)
    }
  }
}

/** A Redis that is just restarting is tried for a while. @throws InputError */
const firstOffer = (client: Redis, offer: () => Promise<void>): Promise<void> =>
  repeat(openPatience, offer, () => client.status === 'ready').catch((thrown: unknown) => {
    throw inputError(option('redis'), 'a Redis that stores what a run publishes', reason(thrown))
  })

const makeAttempt = (client: Redis, warn: Leading['warn']): Leading['attempt'] => {
  let failedAt = -Infinity
  return async (work) => {
    if (client.status !== 'ready' || performance.now() - failedAt < retryDelay) return null
    try {
      return await work()
    } catch (thrown) {
      if (thrown instanceof TrainingError || thrown instanceof InputError) throw thrown
      failedAt = performance.now()
      if (client.status === 'ready')
        warn(`Redis refuses: ${reason(thrown)}; this process computes all parts until Redis accepts them again`)
      return null
    }
  }
}
