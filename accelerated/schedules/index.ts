/** The learning-rate schedules: one entry each, with the names and formulas of transformers' `get_scheduler`. Warm-up and its settings are in training/learningRate.ts. */
import { option, words, type Text } from '../errors/words.js'

/** From 0 at the end of warm-up to 1 at the end of training. */
const computeProgress = ({ step, steps }: ScheduleStep): number => step / Math.max(1, steps)

export const schedules = {
  linear: {
    summary: 'linear decay to 0',
    warmup: true,
    rate: ({ peak, step, steps }) => (peak * Math.max(0, steps - step)) / Math.max(1, steps),
  },
  cosine: {
    summary: 'half a cosine wave to 0',
    warmup: true,
    rate: (at) => at.peak * Math.max(0, (1 + Math.cos(2 * Math.PI * (at.numCycles ?? 0.5) * computeProgress(at))) / 2),
  },
  cosine_with_restarts: {
    summary: 'half waves that restart at the peak',
    warmup: true,
    rate: (at) => {
      const progress = computeProgress(at)
      return progress >= 1 ? 0 : at.peak * Math.max(0, (1 + Math.cos(Math.PI * (((at.numCycles ?? 1) * progress) % 1))) / 2)
    },
  },
  constant: { summary: 'no warm-up, no decay', warmup: false, rate: ({ peak }) => peak },
  constant_with_warmup: { summary: 'no decay', warmup: true, rate: ({ peak }) => peak },
  polynomial: {
    summary: 'a power of the remaining steps, to lr-end',
    warmup: true,
    rate: ({ peak, step, steps, power, end }) => (step > steps ? end : (peak - end) * (1 - step / steps) ** power + end),
    check: ({ peak, end }) =>
      end < peak ? null : { setting: 'lrEnd', expected: words`less than ${option('learningRate')} ${peak}`, got: String(end) },
  },
} as const satisfies Readonly<Record<string, Schedule>>

export type ScheduleName = keyof typeof schedules

/**
 * A learning-rate schedule: the rate after warm-up, as a function of the step.
 * A step after warm-up, and the run's settings of the schedule.
 */
type ScheduleStep = {
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
  ) => { readonly setting: string; readonly expected: Text; readonly got: string } | null
}
