/**
 * The parts of a step or an evaluation. They are jobs of the run's queue: workers take them from one end, and the leader from the other. Redis only
 * carries them: the leader publishes again what Redis loses, computes what nobody returns in time, and computes every part while Redis is down.
 */
import type { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { MicroBatchGradient, SpreadStep } from '../../accelerated/training/microBatchGradient.js'
import { acceptMicroBatch } from './acceptMicroBatch.js'
import { encodeVector, traveled, type Exchange } from './exchange.js'
import { toFrame, type PartJob, type Signer, type StepHeader, type Work } from './frame.js'
import type { Pace } from './pace.js'
import { makeRunKeys, lifetime } from './runKeys.js'

/** What the parts of a run have in common. */
export type Leading = {
  readonly client: Redis
  /** names this process in reports */
  readonly name: string
  readonly signer: Signer
  readonly dtype: FloatType
  readonly exchange: Exchange
  /** the share of a trusted worker's parts that are computed here too */
  readonly checkedShare?: number
  readonly id: string
  readonly queue: Queue
  readonly paces: Readonly<Record<Work, Pace>>
  /** by public key: the step in which the first part of this work was checked */
  readonly trusted: Readonly<Record<Work, Map<string, number>>>
  readonly refused: Set<string>
  readonly warn: (message: string) => void
  /** a name for what is published next */
  readonly nextToken: () => string
  /** The result; null: Redis is down, full, or refuses. @throws TrainingError */
  readonly attempt: <T>(work: () => Promise<T>) => Promise<T | null>
}

/** Every hundredth part of a worker is computed by the leader too. */
const defaultCheckedShare = 0.01

/** Milliseconds of a wait for a frame, and between looks at what Redis has. */
const [wait, lookInterval] = [200, 1_000]

/** What is spread: the parts of a step, or the batches of an evaluation. */
type SpreadWork = Omit<SpreadStep, 'layout'>

type Spread = {
  readonly leading: Leading
  readonly work: Work
  readonly step: SpreadWork
  readonly token: string
  readonly done: Set<number>
  /** parts that are done and not yet passed on */
  readonly news: Array<readonly [number, MicroBatchGradient]>
  /** the parts below it may still be in the queue */
  unseen: number
  /** when a part was done last, and when Redis was looked at */
  doneAt: number
  lookedAt: number
}

const isMissing = ({ done }: Spread, part: number): boolean => part >= 0 && !done.has(part)

const lastMissing = (spread: Spread): number => {
  let part = spread.step.parts - 1
  while (!isMissing(spread, part)) part--
  return part
}

/** Yields each part with its number when it is there. A wait is bounded: what nobody returns in time is computed here. @throws TrainingError */
export async function* spreadMicroBatches(
  leading: Leading,
  work: Work,
  step: SpreadWork,
): AsyncGenerator<readonly [number, MicroBatchGradient], void> {
  const now = performance.now()
  const own = { done: new Set<number>(), news: [], unseen: step.parts, doneAt: now, lookedAt: now }
  const spread: Spread = { leading, work, step, token: leading.nextToken(), ...own }
  const { done, news } = spread
  let isPublished = false
  while (done.size < step.parts) {
    if (!isPublished) isPublished = (await leading.attempt(() => publish(spread))) ?? false
    const part = isPublished ? await leading.attempt(() => takePart(spread)) : null
    if (part === null) await computeHere(spread, lastMissing(spread))
    else if (part !== 'none') await computeHere(spread, part)
    else if (performance.now() - spread.doneAt > leading.paces[work].patience()) await computeHere(spread, lastMissing(spread))
    else isPublished = (await leading.attempt(() => collect(spread))) ?? false
    yield* news.splice(0)
  }
}

const publish = async (spread: Spread): Promise<true> => {
  const { leading, work, step, token, done } = spread
  const { client, id, queue, signer } = leading
  const { phase, progress, parameters } = step
  const keys = makeRunKeys(id)
  const exchange = work === 'answers' ? 'float32' : leading.exchange
  const header: StepHeader = { run: id, token, work, step: step.step, phase, progress, size: parameters.length, exchange }
  await client.del(keys.parts)
  await client.set(keys.step, toFrame(header, encodeVector(parameters, 'float32'), signer), 'PX', lifetime)
  await client.set(keys.token, token, 'PX', lifetime)
  const missing = Array.from({ length: step.parts }, (_, part) => part).filter((part) => !done.has(part))
  const jobs = missing.map((part) => ({ name: 'part', data: { token, part } satisfies PartJob, opts: jobOptions(spread, part) }))
  await queue.addBulk(jobs)
  spread.unseen = step.parts
  return true
}

const jobId = ({ token }: Spread, part: number): string => `${token}-${part}`

const jobOptions = (spread: Spread, part: number): object => ({ jobId: jobId(spread, part), removeOnComplete: true, removeOnFail: true })

/** A part for this process: one that waits in the queue, or whose job failed or is lost. Workers take parts from the other end. */
const takePart = async (spread: Spread): Promise<number | 'none'> => {
  const { queue } = spread.leading
  await drain(spread)
  while (spread.unseen > 0) {
    const part = --spread.unseen
    if (!isMissing(spread, part)) continue
    const state = await queue.getJobState(jobId(spread, part))
    if (state === 'active') continue
    await drain(spread) // a worker returns a part before its job ends
    if (isMissing(spread, part) && (await queue.remove(jobId(spread, part))) === 1) return part
  }
  return 'none'
}

/** Waits for a part, and looks after what Redis has. @returns whether it still has the step */
const collect = async (spread: Spread): Promise<boolean> => {
  const { leading, token, step } = spread
  const { client, id } = leading
  const keys = makeRunKeys(id)
  const returned = await client.blpopBuffer(keys.parts, wait / 1_000)
  if (returned !== null) await judge(spread, returned[1])
  if (performance.now() - spread.lookedAt < lookInterval) return true
  spread.lookedAt = performance.now()
  spread.unseen = step.parts // jobs may have failed or returned to the queue
  return (await client.get(keys.token)) === token && (await client.exists(keys.step)) === 1
}

const drain = async (spread: Spread): Promise<void> => {
  const { client, id } = spread.leading
  for (let i = 0; i < spread.step.parts && spread.done.size < spread.step.parts; i++) {
    const frame = await client.lpopBuffer(makeRunKeys(id).parts)
    if (frame === null) return
    await judge(spread, frame)
  }
}

/** Takes the part that a worker returned, or refuses the worker. */
const judge = async (spread: Spread, frame: Buffer): Promise<void> => {
  const { leading, work, step, token, done } = spread
  const { client, id, dtype, exchange, paces, trusted, refused, warn, checkedShare = defaultCheckedShare } = leading
  const isChecked = (): boolean => Math.random() < checkedShare
  const context = { run: id, token, work, step, dtype, exchange, done, trusted: trusted[work], refused, isChecked }
  const judgment = await acceptMicroBatch(frame, { ...context, compute: (part) => compute(spread, part) })
  if (judgment.warning !== null) warn(judgment.warning)
  if (judgment.kind === 'ignored') return
  const { by, gradient } = judgment
  if (gradient !== null) finish(spread, by.part, gradient)
  if (judgment.refused === null) {
    if (!trusted[work].has(by.key)) trusted[work].set(by.key, step.step + (work === 'answers' ? 0 : 1))
    paces[work].add(by.worker, by.seconds)
    return
  }
  refused.add(by.key)
  await client.set(makeRunKeys(id).refused(by.key), judgment.refused, 'PX', lifetime)
}

const finish = (spread: Spread, part: number, gradient: MicroBatchGradient): void => {
  spread.done.add(part)
  spread.news.push([part, gradient])
  spread.doneAt = performance.now()
}

/** A part from this process: rounded as one that travels. */
const compute = async ({ leading: { name, paces, dtype, exchange }, work, step }: Spread, part: number): Promise<MicroBatchGradient> => {
  const began = performance.now()
  const own = await step.compute(part)
  paces[work].add(name, (performance.now() - began) / 1_000)
  return work === 'answers' ? own : { ...own, gradient: traveled(own.gradient, dtype, exchange) }
}

const computeHere = async (spread: Spread, part: number): Promise<void> => finish(spread, part, await compute(spread, part))
