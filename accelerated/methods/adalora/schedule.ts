/** AdaLoRA's schedule: how many triplets a step may leave, by section 3.3 of Zhang et al. (2023), in PEFT's steps, which count from 0. */
import { SettingsError } from '../../settingsError.js'
import type { AdaloraSettings } from './settings.js'

/** warmup: t_init, the last step that cuts nothing · final: t_final · last: T − t_final, the step whose cut stays */
export type Schedule = { readonly warmup: number; readonly final: number; readonly last: number }

export const scheduleOf = ({ warmupShare, finalShare }: Pick<AdaloraSettings, 'warmupShare' | 'finalShare'>, steps: number): Schedule => {
  const final = Math.round(finalShare * steps)
  return { warmup: Math.round(warmupShare * steps), final, last: steps - final }
}

/** @throws SettingsError where the ranks would grow, or a phase of the schedule has no step */
export const checkSchedule = (settings: AdaloraSettings, steps: number | null): void => {
  const { initRank, targetRank, warmupShare, finalShare } = settings
  if (targetRank > initRank) throw new SettingsError('targetRank', `at most initRank ${initRank}`, String(targetRank))
  if (steps === null) return
  const { warmup, final, last } = scheduleOf(settings, steps)
  if (final === 0) throw new SettingsError('finalShare', `a share that is at least one of ${steps} steps`, `${finalShare}, which is none`)
  if (warmup >= last)
    throw new SettingsError(
      'warmupShare',
      `at least one of ${steps} steps between warm-up and the ${final} of finalShare ${finalShare}`,
      `${warmupShare}, which leaves none`,
    )
}

/**
 * budget: triplets that are to be left after step t · cut: how many go in this step, 0 where none is due · learns: whether importances are
 * averaged. PEFT's budget is its whole formula cut to an integer.
 */
export const allocationAt = (
  { initRank, targetRank, deltaT }: Pick<AdaloraSettings, 'initRank' | 'targetRank' | 'deltaT'>,
  { warmup, last }: Schedule,
  matrices: number,
  t: number,
): { readonly budget: number; readonly cut: number; readonly learns: boolean } => {
  const [first, target] = [initRank * matrices, targetRank * matrices]
  if (t <= warmup) return { budget: first, cut: 0, learns: true }
  const left = 1 - (Math.min(t, last) - warmup) / (last - warmup)
  const budget = Math.trunc((first - target) * left ** 3 + target)
  return { budget, cut: t >= last || t % deltaT === 0 ? first - budget : 0, learns: t < last }
}
