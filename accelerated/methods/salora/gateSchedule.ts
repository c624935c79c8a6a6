/** The gate window of Algorithm 1 in steps: T_start ≤ t < T_end. t counts the steps done; T_start and T_end are fractions of the run. */

/** First step with sampled gates, and first step after the window. */
export type GateSchedule = { readonly start: number; readonly end: number }

/** In float64, 0.07 · 100 is 7.000000000000001 and must count as 7. No product that a user means is this close above a whole number. */
const rounding = 1e-9

/** Steps of a run that are enough for `count` steps between the two fractions, whatever the rounding. */
export const stepsForWindow = ({ gateStart, gateEnd }: Fractions, count: number): number =>
  Math.ceil(count / (gateEnd - gateStart) - rounding)

type Fractions = { readonly gateStart: number; readonly gateEnd: number }

export const gateSchedule = ({ gateStart, gateEnd }: Fractions, steps: number): GateSchedule => {
  const first = (fraction: number): number => Math.max(0, Math.ceil(fraction * steps - rounding))
  return { start: first(gateStart), end: first(gateEnd) }
}
