/** What changes with time: the learning rate, and in which steps the gates are sampled. Steps count from 0. */

export interface LinearSchedule {
  readonly peak: number
  /** Steps of the whole training. */
  readonly steps: number
  /** Fraction of training in which the rate rises. */
  readonly warmup: number
}

/**
 * The linear schedule: from 0 up to `peak` in the first warmup · steps steps, then down to 0 at the end of training.
 * As Hugging Face's, the first step of a run with warm-up has rate 0.
 */
export const linearSchedule =
  ({ peak, steps, warmup }: LinearSchedule) =>
  (step: number): number => {
    const warmupSteps = Math.ceil(warmup * steps)
    return step < warmupSteps ? (peak * step) / warmupSteps : peak * Math.max(0, (steps - step) / Math.max(1, steps - warmupSteps))
  }

export interface GateFractions {
  /** T_start / T and T_end / T */
  readonly gateStart: number
  readonly gateEnd: number
  /** T, steps of the whole training. */
  readonly steps: number
}

export interface GateSteps {
  /** The first gated step. */
  readonly start: number
  /** The first step after the window, at which triplets are retained. */
  readonly end: number
}

/**
 * The first step t with fraction · T ≤ t. A product such as 0.07 · 100, the whole number 7, is 7.000000000000001 in float64 and its ceiling
 * would be 8; 1e-9 is far above that error and far below the distance to a whole number of any product that is none.
 */
const firstStepFrom = (fraction: number, steps: number): number => Math.max(0, Math.ceil(fraction * steps - 1e-9))

/** T_start ≤ t < T_end of Algorithm 1, with t the number of steps done: from ⌈T_start⌉ to below ⌈T_end⌉. */
export const gateSteps = ({ gateStart, gateEnd, steps }: GateFractions): GateSteps => ({
  start: firstStepFrom(gateStart, steps),
  end: firstStepFrom(gateEnd, steps),
})
