/** Learning-rate schedules: the rate η_p of each step, counted from 0. Names and shapes are those of transformers' `get_scheduler`. */

export interface Schedule {
  /** The learning rate at the end of warm-up. */
  readonly peak: number
  /** Steps of the whole training. */
  readonly steps: number
  /** Steps in which the rate rises in a line from 0: 0 at the first step. */
  readonly warmupSteps: number
}

/** A learning rate for each step. */
export type Rate = (step: number) => number

/** The steps of a fraction of training, rounded up as the Trainer does. */
export const countWarmupSteps = (fraction: number, steps: number): number => Math.ceil(fraction * steps)

/** A line from 0 to the peak, then `decay` of the share of the remaining steps that are done, from 0 to 1. */
const warmedUp =
  ({ peak, steps, warmupSteps }: Schedule, decay: (done: number) => number): Rate =>
  (step) => {
    if (step < warmupSteps) return (peak * step) / warmupSteps
    return decay((step - warmupSteps) / Math.max(1, steps - warmupSteps))
  }

/** From the peak in a line to 0. */
export const linearSchedule = (schedule: Schedule): Rate => warmedUp(schedule, (done) => schedule.peak * Math.max(0, 1 - done))

/** peak · cos²(π · cycles · done), which is peak · (1 + cos(2π · cycles · done)) / 2: 0 at the end for half a cycle. */
export const cosineSchedule = (schedule: Schedule, cycles = 0.5): Rate =>
  warmedUp(schedule, (done) => schedule.peak * Math.cos(Math.PI * cycles * done) ** 2)

/** Half a wave from the peak to 0, `cycles` times over. */
export const cosineScheduleWithRestarts = (schedule: Schedule, cycles = 1): Rate =>
  warmedUp(schedule, (done) => {
    if (done >= 1) return 0
    const inCycle = cycles * done - Math.floor(cycles * done)
    return schedule.peak * Math.cos((Math.PI / 2) * inCycle) ** 2
  })

/** The peak throughout, without warm-up. */
export const constantSchedule =
  ({ peak }: Pick<Schedule, 'peak'>): Rate =>
  () =>
    peak

/** The peak after warm-up. */
export const constantScheduleWithWarmup = (schedule: Schedule): Rate => warmedUp(schedule, () => schedule.peak)

/** end + (peak − end) (1 − done)^power */
export const polynomialSchedule = (schedule: Schedule, end = 1e-7, power = 1): Rate =>
  warmedUp(schedule, (done) => (done > 1 ? end : end + (schedule.peak - end) * (1 - done) ** power))
