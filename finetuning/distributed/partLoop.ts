/** A worker of a run: takes parts of the newest step or evaluation, computes and returns them, until the run ends. */
import type { Redis } from 'ioredis'
import { setTimeout as sleep } from 'node:timers/promises'
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { MomentVectors } from '../../accelerated/parameters/vectors.js'
import type { PartGradient, PartSource } from '../../accelerated/training/partGradient.js'
import type { PartWorker } from '../../accelerated/training/partWorker.js'
import { bytesOf, momentBytes, momentsOf, numbersOf, type Exchange } from './exchange.js'
import { fromFrame, stepHeader, toFrame, type GradientHeader, type StepHeader } from './frame.js'
import { partsOfLease } from './pace.js'
import { claimPart, ended, keysOf, noPart, readMoments, storeGradient } from './runKeys.js'

export type PartLoop = {
  readonly client: Redis
  readonly id: string
  /** names this worker in messages */
  readonly worker: string
  readonly dtype: FloatType
  readonly parts: PartWorker
  readonly signal: AbortSignal
  /** `kept`: whether the gradient came in time */
  readonly onPart: (part: { readonly step: number; readonly part: number; readonly seconds: number; readonly kept: boolean }) => void
}

/** Milliseconds: between looks while there is nothing to do, between attempts while Redis is down, and without a leader until the run counts as ended. */
const [look, retryDelay, patience] = [500, 500, 90_000]

/** Milliseconds of a lease that a worker takes by what it knows of its network. */
const longestOwnLease = 600_000

/** @returns why it ended @throws InputError if the run refuses this worker, or what it published is invalid */
export const computeParts = async (loop: PartLoop): Promise<'the run ended' | 'stopped'> => {
  const { client, id, signal, parts } = loop
  const keys = keysOf(id)
  const rest = (milliseconds: number): Promise<unknown> => sleep(milliseconds, undefined, { signal }).catch(() => undefined)
  let seen = performance.now()
  let newest = '0'
  let current: Step | null = null
  const latest: number[] = []
  while (!signal.aborted) {
    const [token, leader] = (await attempt(() => client.mget(keys.now, keys.leader))) ?? [undefined, null]
    if (token === undefined) {
      await rest(retryDelay)
      continue
    }
    if (token !== null && leader !== null) seen = performance.now()
    if (performance.now() - seen > patience) return 'the run ended'
    if (token === null) {
      if ((await attempt(() => client.get(keys.setup))) === ended) return 'the run ended'
      await rest(look)
      continue
    }
    if (current?.header.token !== token) {
      current = (await attempt(() => readStep(loop, keys.step))) ?? null
      if (current !== null) await parts[current.header.work].open(current.header.phase)
      continue // opening takes its time: the step may have changed
    }
    if (await takePart(loop, current, latest)) continue
    newest = (await attempt(async () => idOf(await client.xread('BLOCK', look, 'STREAMS', keys.steps, newest)))) ?? newest
  }
  return 'stopped'
}

type Step = { readonly header: StepHeader; readonly source: PartSource }

/** undefined: Redis is down, or refuses */
const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await work()
  } catch (thrown) {
    if (thrown instanceof InputError) throw thrown
    return undefined
  }
}

/** The id of the newest entry in the reply to XREAD. */
const idOf = (reply: unknown): string | undefined => {
  const [stream] = (reply ?? []) as ReadonlyArray<readonly [string, ReadonlyArray<readonly [string, unknown]>]>
  return stream?.[1].at(-1)?.[0]
}

/** null: there is none now */
const readStep = async ({ client, dtype }: PartLoop, key: string): Promise<Step | null> => {
  const frame = await client.getBuffer(key)
  if (frame === null) return null
  const where = 'the published step'
  const { header, body } = fromFrame(frame, stepHeader, where, 'a step of a run')
  const parameters = numbersOf(body, header.size, dtype, 'float32')
  if (parameters === null) throw inputError(where, `${header.size} trained numbers`, `${body.length} bytes`)
  const { step, phase, progress } = header
  return { header, source: { step, phase, progress, parameters } }
}

/**
 * Takes, computes and returns a part. Its lease covers the way to the leader, which the leader does not know: a slow network takes longer than a part.
 * @param latest milliseconds of this worker's latest two parts, until they were returned; one alone may have been a machine asleep
 * @returns whether there may be another part @throws InputError if the run refuses this worker
 */
const takePart = async (loop: PartLoop, { header, source }: Step, latest: number[]): Promise<boolean> => {
  const { client, id, worker } = loop
  const { token, work, parts, lease, exchange, step } = header
  const own = Math.min(longestOwnLease, partsOfLease * Math.min(...latest))
  const isOwn = latest.length > 0 && own > lease
  const part = await attempt(() => claimPart(client, id, token, worker, parts, isOwn ? own : lease, isOwn))
  if (part === noPart.refused) {
    const reason = await attempt(() => client.hget(keysOf(id).refused, worker))
    throw inputError('this worker', 'the gradients that the leader computes', reason ?? 'others')
  }
  if (part === undefined || part < 0) return part === noPart.otherStep
  const began = performance.now()
  const moments = work === 'rounds' ? await attempt(() => readMoments(client, id, token, part)) : undefined
  if (work === 'rounds' && (moments ?? null) === null) return false // the round is over, or Redis lost them
  const computed = await loop.parts[work].compute(source, part, momentsIn(moments, header, loop.dtype))
  const seconds = (performance.now() - began) / 1_000
  const kept = (await attempt(() => storeGradient(client, id, token, part, frameOf(computed, exchange, { worker, seconds })))) ?? false
  latest.push(performance.now() - began)
  if (latest.length > 2) latest.shift()
  loop.onPart({ step: work === 'answers' ? step : step + 1, part: part + 1, seconds, kept })
  return true
}

/** @throws InputError for another number of bytes */
const momentsIn = (bytes: Buffer | null | undefined, { size }: StepHeader, dtype: FloatType): MomentVectors | undefined => {
  if (bytes === null || bytes === undefined) return undefined
  const moments = momentsOf(bytes, size, dtype)
  if (moments === null) throw inputError('the published round', `two moments of ${size} numbers`, `${bytes.length} bytes`)
  return moments
}

const frameOf = (
  { gradient, tokens, results, moments }: PartGradient,
  exchange: Exchange,
  by: Pick<GradientHeader, 'worker' | 'seconds'>,
): Buffer => {
  const numbers = Object.fromEntries(Object.entries(results).map(([name, values]) => [name, Array.from(values, Number)]))
  const body = bytesOf(gradient, exchange)
  return toFrame({ ...by, tokens, results: numbers }, moments === undefined ? body : Buffer.concat([body, momentBytes(moments)]))
}
