/** The gate window in steps: T_start ≤ t < T_end, where t counts the steps done and T_start, T_end are fractions of the run. */

/** First step with sampled gates, and first step after the window. */
export type GateSchedule = { readonly start: number; readonly end: number }

/** 0.07 · 100 is 7.000000000000001 in float64 and must be 7: no fraction that a user writes is that close above a whole number. */
const rounding = 1e-9

export const gateSchedule = (
  { gateStart, gateEnd }: { readonly gateStart: number; readonly gateEnd: number },
  steps: number,
): GateSchedule => {
  const first = (fraction: number): number => Math.max(0, Math.ceil(fraction * steps - rounding))
  return { start: first(gateStart), end: first(gateEnd) }
}
