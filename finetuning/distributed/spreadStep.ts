/** One step of a run on several machines, as its leader takes it: parts are claimed, computed and collected, or taken back. */
import type { PartGradient, SpreadStep } from '../../accelerated/training/partGradient.js'
import { acceptGradient } from './acceptGradient.js'
import { bytesOf, traveled } from './exchange.js'
import { toFrame, type StepHeader } from './frame.js'
import type { Leadership } from './leadership.js'
import { claimPart, endLeases, keysOf, noPart, publishStep, refuseWorker, storeGradient } from './runKeys.js'

/** Milliseconds of a wait for a gradient, and between looks at what Redis still has. */
const [wait, lookInterval] = [200, 1_000]

/** The gradient of a part that the leader computed: workers need not take it, and nobody reads it. */
const taken = Buffer.alloc(0)

type Spread = {
  readonly leadership: Leadership
  readonly step: SpreadStep
  /** names the step and the leader */
  readonly token: string
  readonly found: Map<number, PartGradient>
}

/** The gradients of all parts, in their order. @throws TrainingError if another process leads the run by now */
export const spreadStep = async (leadership: Leadership, step: SpreadStep): Promise<ReadonlyArray<PartGradient>> => {
  const { client, id, leader, pace, attempt } = leadership
  const spread: Spread = { leadership, step, token: `${leader}#${step.step}`, found: new Map() }
  const { token, found } = spread
  const numbers = Array.from({ length: step.parts }, (_, part) => part)
  const collect = collectorOf(spread)
  let published = false
  while (found.size < step.parts) {
    if (!published) published = (await attempt(() => publish(spread))) ?? false
    const claimed = published ? await attempt(() => claimPart(client, id, token, leader, step.parts, pace.lease())) : null
    if (claimed === null) await computeHere(spread, numbers.find((part) => !found.has(part)) ?? 0)
    else if (claimed >= 0) await computeHere(spread, claimed)
    else if (claimed === noPart.otherStep) published = false
    else published = (await attempt(collect)) ?? false
  }
  return numbers.map((part) => found.get(part) as PartGradient)
}

/** What a part computed here is: rounded as one that travels. */
const compute = async ({ leadership: { leader, pace, dtype, exchange }, step }: Spread, part: number): Promise<PartGradient> => {
  const began = performance.now()
  const own = await step.compute(part)
  pace.add(leader, (performance.now() - began) / 1_000)
  return { ...own, gradient: traveled(own.gradient, dtype, exchange) }
}

const computeHere = async (spread: Spread, part: number): Promise<void> => {
  const { leadership, token, found } = spread
  if (!found.has(part)) found.set(part, await compute(spread, part))
  await leadership.attempt(() => storeGradient(leadership.client, leadership.id, token, part, taken))
}

const publish = async ({ leadership, step, token, found }: Spread): Promise<true> => {
  const { client, id, exchange, pace, mostParts } = leadership
  const { phase, progress, parts, parameters } = step
  const size = parameters.length
  const header: StepHeader = { token, step: step.step, phase, progress, parts, size, exchange, lease: pace.lease() }
  await leadership.lead()
  await publishStep(client, id, token, toFrame(header, bytesOf(parameters, 'float32')), mostParts)
  for (const part of found.keys()) await storeGradient(client, id, token, part, taken)
  return true
}

/** Waits for a gradient, and looks after what Redis has. @returns whether it still has the step */
const collectorOf = (spread: Spread): (() => Promise<boolean>) => {
  const { leadership, step, token, found } = spread
  const { client, id, pace } = leadership
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
    if ((await client.get(keys.now)) !== token) return false
    await client.pexpire(keys.leader, Math.ceil(leadership.lease()))
    for (let part = 0; part < step.parts; part++) if (!found.has(part)) await judge(spread, part)
    if (performance.now() - waitedSince > pace.lease()) await endLeases(client, id, step.parts)
    return true
  }
}

/** Takes the gradient of a part that a worker returned, or refuses the worker. */
const judge = async (spread: Spread, part: number): Promise<void> => {
  const { leadership, step, token, found } = spread
  const { client, id, dtype, exchange, trusted, pace, warn } = leadership
  const frame = await client.getBuffer(keysOf(id).gradient(part))
  if (frame === null || frame.length === 0 || found.has(part)) return
  const context = { part, step, dtype, exchange, trusted, compute: (of: number) => compute(spread, of) }
  const { worker, seconds, gradient, warning, refused } = await acceptGradient(frame, context)
  if (gradient !== null) found.set(part, gradient)
  if (warning !== null && !leadership.refused.has(worker)) warn(warning)
  if (refused === null) {
    trusted.add(worker)
    pace.add(worker, seconds)
    return
  }
  leadership.refused.add(worker)
  await refuseWorker(client, id, worker, refused, part)
  if (gradient !== null) await storeGradient(client, id, token, part, taken)
}
