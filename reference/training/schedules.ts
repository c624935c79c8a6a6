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
