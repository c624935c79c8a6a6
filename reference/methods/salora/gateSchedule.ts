/** The gate window of Algorithm 1: the steps T_start ≤ t < T_end in which gates are sampled. Steps count from 0. */

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
  /** The first step after the window. Triplets are retained before it. */
  readonly end: number
}

/**
 * The first step t with fraction · T ≤ t. In float64, 0.07 · 100 is 7.000000000000001, whose ceiling is 8 instead of 7. 1e-9 is far above this
 * error, and far below the distance of any other product to a whole number.
 */
const firstStepFrom = (fraction: number, steps: number): number => Math.max(0, Math.ceil(fraction * steps - 1e-9))

/** T_start ≤ t < T_end with t the number of steps done: from ⌈T_start⌉ to below ⌈T_end⌉. */
export const gateSteps = ({ gateStart, gateEnd, steps }: GateFractions): GateSteps => ({
  start: firstStepFrom(gateStart, steps),
  end: firstStepFrom(gateEnd, steps),
})
