/** The learning rate of each step, η_p: linear warm-up from 0 to the peak, then the schedule. Steps count from 0. */
import { schedules, type Schedule } from '../schedules/index.js'
import { SettingsError } from '../errors/expectedErrors.js'
import { findLearningRate } from '../settings/defaults.js'
import type { CommonSettings } from '../settings/commonSettings.js'

type LearningRateSettings = Pick<
  CommonSettings,
  'learningRate' | 'lrSchedulerType' | 'lrSchedulerNumCycles' | 'lrSchedulerPower' | 'lrEnd' | 'warmupRatio' | 'warmupSteps'
> & { readonly method: string }

/** The peak: as set, or the default for the method and the model. @param size as in findLearningRate */
export const peakLearningRate = (
  { method, learningRate }: Pick<LearningRateSettings, 'method' | 'learningRate'>,
  size: number | null = null,
): number => learningRate ?? findLearningRate(method, size)

/** @param steps of the whole run */
export const makeLearningRate = (settings: LearningRateSettings, steps: number): ((step: number) => number) => {
  const peak = peakLearningRate(settings)
  const { lrSchedulerNumCycles: numCycles, lrSchedulerPower: power, lrEnd: end } = settings
  const { warmup, rate }: Schedule = schedules[settings.lrSchedulerType]
  const warmupSteps = warmup ? (settings.warmupSteps ?? Math.ceil(settings.warmupRatio * steps)) : 0
  return (step) =>
    step < warmupSteps
      ? (peak * step) / warmupSteps
      : rate({ peak, step: step - warmupSteps, steps: steps - warmupSteps, numCycles, power, end })
}

/** @throws SettingsError if the schedule's settings contradict each other */
export const checkLearningRate = ({ lrSchedulerType, lrEnd, ...peak }: LearningRateSettings): void => {
  const { check }: Schedule = schedules[lrSchedulerType]
  const problem = check?.({ peak: peakLearningRate(peak), end: lrEnd }) ?? null
  if (problem !== null) throw new SettingsError(problem.setting, problem.expected, problem.got)
}
