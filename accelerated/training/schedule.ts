/** The schedule: which phase a step is in, and its learning rate. Steps are counted from 0. */

/** η_p: linear warm-up to the peak, then linear to 0 at the last step, as transformers' linear schedule. */
export const learningRateAt =
  ({ peak, warmup, steps }: { readonly peak: number; readonly warmup: number; readonly steps: number }) =>
  (step: number): number => {
    const rising = Math.ceil(warmup * steps)
    return step < rising ? (peak * step) / rising : (peak * Math.max(0, steps - step)) / Math.max(1, steps - rising)
  }

/** before: T_start is ahead · gated: T_start ≤ t < T_end · after: triplets are retained */
export type Phase = 'before' | 'gated' | 'after'

/** First gated step and first step after the window; null when nothing is gated. */
export type GateSteps = { readonly start: number; readonly end: number } | null

export const gateSteps = (steps: number, gateStart: number, gateEnd: number): GateSteps => ({
  start: Math.round(gateStart * steps),
  end: Math.round(gateEnd * steps),
})

export const phaseAt = (gates: GateSteps, step: number): Phase =>
  gates === null || step < gates.start ? 'before' : step < gates.end ? 'gated' : 'after'
