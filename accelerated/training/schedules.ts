/** The schedule of the learning rate. Steps are counted from 0. */

/** η_p: linear warm-up to the peak, then linear to 0 at the last step, as transformers' linear schedule. */
export const learningRateAt =
  ({ peak, warmup, steps }: { readonly peak: number; readonly warmup: number; readonly steps: number }) =>
  (step: number): number => {
    const rising = Math.ceil(warmup * steps)
    return step < rising ? (peak * step) / rising : (peak * Math.max(0, steps - step)) / Math.max(1, steps - rising)
  }
