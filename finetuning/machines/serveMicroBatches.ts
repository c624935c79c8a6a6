/** A worker of a run: answers the jobs of its queue, until the run ends. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { MicroBatchGradient, MicroBatchSource } from '../../accelerated/training/microBatchGradient.js'
import type { MicroBatchWorker } from '../../accelerated/training/microBatchWorker.js'
import { encodeVector, decodeVector } from './exchange.js'
import { fromFrame, newSigner, partJob, stepHeader, toFrame, type PartHeader, type StepHeader } from './frame.js'
import { loadBullmq, redisAddress, settlesWithin } from './redis.js'
import { ended, makeRunKeys, lifetime, partQueue, placeKey, type OfferedRun } from './runKeys.js'

/** A part that this worker computed; `kept`: whether its step was not over */
export type ComputedPart = { readonly step: number; readonly part: number; readonly seconds: number; readonly kept: boolean }

/** Milliseconds between looks for the run's end, without a leader until the run counts as ended, and of a job's lock in BullMQ. */
const [look, patience, lock] = [500, 90_000, 60_000]

export type Serving = OfferedRun & {
  /** for single commands */
  readonly client: Redis
  readonly redis: string
  /** the leader's public key */
  readonly leaderKey: string
  /** names this worker in messages */
  readonly worker: string
  readonly dtype: FloatType
  readonly parts: MicroBatchWorker
  readonly signal: AbortSignal
  readonly onPart: (part: ComputedPart) => void
}

/** @returns why it ended @throws InputError if the run refuses this worker, or what it published is invalid */
export const serveMicroBatches = async (serving: Serving): Promise<'the run ended' | 'stopped'> => {
  const { redis, id, signal } = serving
  const { Worker } = await loadBullmq()
  const stop = new AbortController()
  let failure: unknown = null
  const answer = answerJobs(serving)
  const worker = new Worker(
    partQueue(id),
    async ({ data }) => {
      try {
        await answer(data)
      } catch (thrown) {
        if (thrown instanceof InputError) failure = thrown
        if (thrown instanceof InputError) stop.abort()
        throw thrown // BullMQ fails the job, and the leader computes the part
      }
    },
    { connection: redisAddress(redis), lockDuration: lock, autorun: false, skipVersionCheck: true },
  )
  worker.on('error', () => undefined) // the client reconnects by itself
  const running = worker.run().catch(() => undefined)
  const reason = await untilEnd(serving, AbortSignal.any([signal, stop.signal]))
  await worker.pause(true)
  await worker.close(true)
  await settlesWithin(look, running)
  if (failure !== null) throw failure
  return reason
}

/** Resolves when the leader ends the run, another one begins in its folder, or no leader shows itself for a while. */
const untilEnd = async ({ client, place, id }: Serving, signal: AbortSignal): Promise<'the run ended' | 'stopped'> => {
  let seen = performance.now()
  for (; !signal.aborted; await sleep(look, undefined, { signal }).catch(() => undefined)) {
    const now = await client.get(placeKey(place)).catch(() => undefined)
    if (now === id) seen = performance.now()
    if ((now === ended || typeof now === 'string') && now !== id) return 'the run ended'
    if (now === undefined) continue // Redis is down
    if (performance.now() - seen > patience) return 'the run ended'
  }
  return 'stopped'
}

type Step = { readonly header: StepHeader; readonly source: MicroBatchSource }

/** Computes and returns the part of a job. One of a step that is over is left alone. @throws InputError as `serveParts` */
const answerJobs = (serving: Serving): ((data: unknown) => Promise<void>) => {
  const { client, id, worker, parts, onPart } = serving
  const keys = makeRunKeys(id)
  const signer = newSigner()
  let current: Step | null = null
  let sending = 0
  return async (data) => {
    const job = partJob.safeParse(data)
    if (!job.success) return // somebody else's: no part waits for it
    const { token, part } = job.data
    const [now, refused] = await client.mget(keys.token, keys.refused(signer.key))
    if (typeof refused === 'string') throw inputError('this worker', 'the parts that the leader computes', refused)
    if (now !== token) return
    if (current?.header.token !== token) {
      current = await readStep(serving)
      if (current === null || current.header.token !== token) return
      await parts[current.header.work].open(current.header.phase)
    }
    const { header, source } = current
    const began = performance.now()
    const computed = await parts[header.work].compute(source, part)
    const seconds = (performance.now() - began) / 1_000
    const by = { run: id, token, part, key: signer.key, worker, seconds: seconds + sending }
    const frame = toFrame(buildHeader(computed, by), encodeVector(computed.gradient, header.exchange), signer)
    const kept = (await client.get(keys.token)) === token
    if (kept) await client.multi().rpush(keys.parts, frame).pexpire(keys.parts, lifetime).exec()
    sending = (performance.now() - began) / 1_000 - seconds // the leader's patience covers the network
    onPart({ step: header.work === 'answers' ? header.step : header.step + 1, part: part + 1, seconds, kept })
  }
}

const buildHeader = ({ tokens, results }: MicroBatchGradient, by: Omit<PartHeader, 'tokens' | 'results'>): PartHeader => ({
  ...by,
  tokens,
  results: Object.fromEntries(Object.entries(results).map(([name, values]) => [name, Array.from(values, Number)])),
})

/** null: there is none now @throws InputError for one that the leader did not sign, or that does not fit */
const readStep = async ({ client, id, leaderKey, dtype }: Serving): Promise<Step | null> => {
  const frame = await client.getBuffer(makeRunKeys(id).step)
  if (frame === null) return null
  const where = 'the published step'
  const { header, body } = fromFrame(frame, { schema: stepHeader, findKey: () => leaderKey, where, what: 'a step of the run' })
  if (header.run !== id) throw inputError(where, 'a step of this run', `one of run ${header.run}`)
  const parameters = decodeVector(body, header.size, dtype, 'float32')
  if (parameters === null) throw inputError(where, `${header.size} trained numbers`, `${body.length} bytes`)
  const { step, phase, progress } = header
  return { header, source: { step, phase, progress, parameters } }
}
