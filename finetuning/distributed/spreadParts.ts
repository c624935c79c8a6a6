/** The parts of a step or an evaluation of a run on several machines, as its leader sees them: claimed, computed, collected, or taken back. */
import type { PartGradient, SpreadStep } from '../../accelerated/training/partGradient.js'
import { acceptPart } from './acceptPart.js'
import { bytesOf, momentBytes, traveled } from './exchange.js'
import { toFrame, type StepHeader, type Work } from './frame.js'
import type { Leadership } from './leadership.js'
import {
  claimPart,
  endLeases,
  hasStep,
  keysOf,
  noPart,
  publishStep,
  refuseWorker,
  storedParts,
  storeGradient,
  storeMoments,
} from './runKeys.js'

/** Milliseconds of a wait for a part, and between looks at what Redis still has. */
const [wait, lookInterval] = [200, 1_000]

/** A part that the leader computed: workers need not take it, and nobody reads it. */
const taken = Buffer.alloc(0)

/** What is spread: the parts of a step, or the batches of an evaluation. */
export type SpreadWork = Omit<SpreadStep, 'layout'>

type Spread = {
  readonly leadership: Leadership
  readonly work: Work
  readonly step: SpreadWork
  /** names the step, or the evaluation after it, and the leader */
  readonly token: string
  /** the numbers of the parts that are known */
  readonly found: Set<number>
  /** parts that are found and not yet passed on */
  readonly news: Array<readonly [number, PartGradient]>
}

/** Yields each part with its number when it is found. @throws TrainingError if another process leads the run by now */
export async function* spreadParts(
  leadership: Leadership,
  work: Work,
  step: SpreadWork,
): AsyncGenerator<readonly [number, PartGradient], void> {
  const { client, id, leader, paces, attempt } = leadership
  const token = `${leader}#${step.step}${work === 'answers' ? ' evaluation' : ''}`
  const spread: Spread = { leadership, work, step, token, found: new Set(), news: [] }
  const { found, news } = spread
  const collect = collectorOf(spread)
  let published = false
  while (found.size < step.parts) {
    if (!published) published = (await attempt(() => publish(spread))) ?? false
    const claimed = published ? await attempt(() => claimPart(client, id, token, leader, step.parts, paces[work].lease())) : null
    if (claimed === null) await computeHere(spread, firstMissing(spread))
    else if (claimed >= 0) await computeHere(spread, claimed)
    else if (claimed === noPart.otherStep) published = false
    else published = (await attempt(collect)) ?? false
    yield* news.splice(0)
  }
}

export const workOf = ({ round }: Pick<SpreadStep, 'round'>): Work => (round === undefined ? 'gradients' : 'rounds')

/** The parts of a step or a round, in their order. @throws as `spreadParts` */
export const spreadStep = async (leadership: Leadership, step: SpreadStep): Promise<ReadonlyArray<PartGradient>> => {
  const gradients = new Array<PartGradient>(step.parts)
  for await (const [part, gradient] of spreadParts(leadership, workOf(step), step)) gradients[part] = gradient
  return gradients
}

const firstMissing = ({ step, found }: Spread): number => {
  let part = 0
  while (part < step.parts && found.has(part)) part++
  return part
}

const find = ({ found, news }: Spread, part: number, gradient: PartGradient): void => {
  found.add(part)
  news.push([part, gradient])
}

/** What a part computed here is: rounded as one that travels. */
const compute = async ({ leadership: { leader, paces, dtype, exchange }, work, step }: Spread, part: number): Promise<PartGradient> => {
  const began = performance.now()
  const own = await step.compute(part)
  paces[work].add(leader, (performance.now() - began) / 1_000)
  return work === 'answers' ? own : { ...own, gradient: traveled(own.gradient, dtype, exchange) }
}

const computeHere = async (spread: Spread, part: number): Promise<void> => {
  const { leadership, token, found } = spread
  if (!found.has(part)) find(spread, part, await compute(spread, part))
  await leadership.attempt(() => storeGradient(leadership.client, leadership.id, token, part, taken))
}

const publish = async ({ leadership, work, step, token, found }: Spread): Promise<true> => {
  const { client, id, paces } = leadership
  const { phase, progress, parts, parameters } = step
  const exchange = work === 'answers' ? 'float32' : leadership.exchange
  const size = parameters.length
  const header: StepHeader = { token, work, step: step.step, phase, progress, parts, size, exchange, lease: paces[work].lease() }
  await leadership.lead()
  for (const [replica, moments] of (step.round?.moments ?? []).entries()) await storeMoments(client, id, replica, momentBytes(moments))
  await publishStep(client, id, token, toFrame(header, bytesOf(parameters, 'float32')), parts)
  await Promise.all([...found].map((part) => storeGradient(client, id, token, part, taken)))
  return true
}

/** Waits for a part, and looks after what Redis has. @returns whether it still has the step */
const collectorOf = (spread: Spread): (() => Promise<boolean>) => {
  const { leadership, work, step, token, found } = spread
  const { client, id, paces } = leadership
  const keys = keysOf(id)
  let [waitedSince, lookedAt] = [Infinity, performance.now()]
  return async () => {
    waitedSince = Math.min(waitedSince, performance.now())
    const done = await client.blpop(keys.done, wait / 1_000)
    if (done !== null) {
      await judge(spread, Number(done[1]))
      waitedSince = Infinity
      return true
    }
    if (performance.now() - lookedAt < lookInterval) return true
    lookedAt = performance.now()
    if (!(await hasStep(client, id, token, step.round?.moments.length ?? 0))) return false
    for (const part of await storedParts(client, id, step.parts)) if (!found.has(part)) await judge(spread, part)
    if (performance.now() - waitedSince > paces[work].lease()) await endLeases(client, id, step.parts)
    return true
  }
}

/** Takes the part that a worker returned, or refuses the worker. */
const judge = async (spread: Spread, part: number): Promise<void> => {
  const { leadership, work, step, token, found } = spread
  const { client, id, dtype, exchange, trusted, paces, warn } = leadership
  const frame = await client.getBuffer(keysOf(id).gradient(part))
  if (frame === null || frame.length === 0 || found.has(part)) return
  const computing = { compute: (of: number) => compute(spread, of), ...(step.round === undefined ? {} : { begin: step.round.begin }) }
  const context = { part, work, step, dtype, exchange, trusted: trusted[work], ...computing }
  const { worker, seconds, gradient, warning, refused } = await acceptPart(frame, context)
  if (gradient !== null) find(spread, part, gradient)
  if (warning !== null && !leadership.refused.has(worker)) warn(warning)
  if (refused === null) {
    trusted[work].add(worker)
    paces[work].add(worker, seconds)
    return
  }
  leadership.refused.add(worker)
  await refuseWorker(client, id, worker, refused, part)
  if (gradient !== null) await storeGradient(client, id, token, part, taken)
}
