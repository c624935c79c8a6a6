/** A model of a step on several machines: each takes the next part when it is free. It predicts efficiency from the network and the adapter's size. */
import type { Exchange } from '../../finetuning/distributed/exchange.js'

export type NetworkStep = {
  /** machines at work, the leader among them */
  readonly machines: number
  readonly parts: number
  /** of one part on one machine, in seconds */
  readonly partSeconds: number
  /** bytes of the trained numbers, and of a gradient */
  readonly parameterBytes: number
  readonly gradientBytes: number
  /** bytes that each part reads for itself (default: 0): a replica's moments */
  readonly inputBytes?: number
  /** of the leader's link, in bytes a second each way; Redis is on the leader's machine */
  readonly bandwidth: number
  /** of a message and its answer, in seconds */
  readonly roundTrip: number
  /** seconds of a processor: the leader publishes a step, a worker reads it and returns a part, the leader takes or rounds one */
  readonly costs: { readonly publish: number; readonly read: number; readonly give: number; readonly take: number; readonly round: number }
}

/**
 * Seconds of a step. Workers start after the trained numbers have come, which all of them read over the leader's link. Each of their parts takes
 * a claim, the computation, and the gradient's way over that link, which all workers share. The leader takes parts, then it collects.
 */
export const stepSeconds = (step: NetworkStep): number => {
  const { machines, parts, partSeconds, parameterBytes, gradientBytes, inputBytes = 0, bandwidth, roundTrip, costs } = step
  const workers = machines - 1
  const start = costs.publish + costs.read + 3 * roundTrip + (workers * parameterBytes) / bandwidth
  const reading = inputBytes === 0 ? 0 : 2 * roundTrip + (workers * inputBytes) / bandwidth
  const atWorker = reading + partSeconds + costs.give + 2 * roundTrip + (workers * gradientBytes) / bandwidth
  const free = [costs.publish, ...new Array<number>(workers).fill(start)]
  const arrivals: number[] = []
  for (let part = 0; part < parts; part++) {
    const who = free.indexOf(Math.min(...free))
    free[who] = (free[who] ?? 0) + (who === 0 ? partSeconds + costs.round : atWorker)
    if (who > 0) arrivals.push(free[who] ?? 0)
  }
  return arrivals.sort((a, b) => a - b).reduce((now, arrival) => Math.max(now, arrival) + costs.take, free[0] ?? 0)
}

/** The share of the machines' time that computes: 1 where a step takes parts / machines of a part's time. */
export const efficiency = (step: NetworkStep, seconds = stepSeconds(step)): number =>
  (step.parts * step.partSeconds) / (step.machines * seconds)

/**
 * A round of `steps` steps in place of one step: each part is that of a replica, whose two moments travel too, in both directions.
 * @param vector costs of numbers in float32, for the moments
 */
export const roundOf = (step: NetworkStep, steps: number, vector: NetworkStep['costs']): NetworkStep => {
  const { parts, partSeconds, parameterBytes, gradientBytes, costs } = step
  return {
    ...step,
    partSeconds: steps * partSeconds,
    inputBytes: 2 * parameterBytes,
    gradientBytes: gradientBytes + 2 * parameterBytes,
    costs: {
      publish: costs.publish + 2 * parts * vector.publish,
      read: costs.read,
      give: 2 * vector.read + costs.give + 2 * vector.give,
      take: costs.take + 2 * vector.take,
      round: costs.round,
    },
  }
}

/** Costs of a processor in seconds, as exchangeCost.ts measures them for RoBERTa-base. The last one is the leader's own rounding. */
export const exchangeCosts: Readonly<Record<Exchange, NetworkStep['costs']>> = {
  float32: { publish: 0.019, read: 0.006, give: 0.019, take: 0.008, round: 0 },
  float16: { publish: 0.016, read: 0.007, give: 0.028, take: 0.011, round: 0.017 },
}
