/** The reference's schedule by the name that `lrSchedulerType` has. */
import type { ScheduleName } from '../../accelerated/schedules/index.js'
import {
  constantSchedule,
  constantScheduleWithWarmup,
  cosineSchedule,
  cosineScheduleWithRestarts,
  linearSchedule,
  polynomialSchedule,
  type Rate,
  type Schedule,
} from '../../reference/index.js'

export type ReferenceOptions = Schedule & {
  readonly cycles?: number | undefined
  readonly power?: number | undefined
  readonly end?: number | undefined
}

export const referenceSchedules: Readonly<Record<ScheduleName, (options: ReferenceOptions) => Rate>> = {
  linear: linearSchedule,
  cosine: ({ cycles, ...schedule }) => cosineSchedule(schedule, cycles),
  cosine_with_restarts: ({ cycles, ...schedule }) => cosineScheduleWithRestarts(schedule, cycles),
  constant: constantSchedule,
  constant_with_warmup: constantScheduleWithWarmup,
  polynomial: ({ end, power, ...schedule }) => polynomialSchedule(schedule, end, power),
}
