/** A learning-rate schedule: the rate after warm-up, as a function of the step. */

/** A step after warm-up, and the run's settings of the schedule. */
export type ScheduleStep = {
  /** η_p at the end of warm-up */
  readonly peak: number
  /** steps since the end of warm-up: 0 at the peak */
  readonly step: number
  /** steps from the end of warm-up to the end of training */
  readonly steps: number
  /** waves, or restarts; null: the schedule's own default */
  readonly numCycles: number | null
  readonly power: number
  /** the rate at the end of training */
  readonly end: number
}

export type Schedule = {
  /** a few words for --help */
  readonly summary: string
  /** whether the rate first rises from 0 to its peak, linearly */
  readonly warmup: boolean
  readonly rate: (at: ScheduleStep) => number
  /** What is wrong with the settings, if anything. */
  readonly check?: (
    settings: Pick<ScheduleStep, 'peak' | 'end'>,
  ) => { readonly setting: string; readonly expected: string; readonly got: string } | null
}
