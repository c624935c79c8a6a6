/** AdaLoRA's schedule, the number of triplets after each step (Zhang et al., 2023, section 3.3), and the phase that every checkpoint stores. Steps count from 0, as in PEFT. */
import { z } from 'zod'
import { matricesSchema } from '../lowRank.js'
import type { TrainingProgress } from '../method.js'
import { SettingsError } from '../../errors/expectedErrors.js'
import { option, words } from '../../errors/words.js'
import type { AdaloraSettings } from './settings.js'

/** warmup: t_init, the last step that prunes nothing · final: t_final · last: T − t_final, the step of the last cut */
type Schedule = { readonly warmup: number; readonly final: number; readonly last: number }

export const planSchedule = ({ tinitRatio, tfinalRatio }: Pick<AdaloraSettings, 'tinitRatio' | 'tfinalRatio'>, steps: number): Schedule => {
  const final = Math.round(tfinalRatio * steps)
  return { warmup: Math.round(tinitRatio * steps), final, last: steps - final }
}

/** @throws SettingsError if the ranks would grow, or a part of the schedule has no step */
export const checkSchedule = (settings: AdaloraSettings, steps: number | null): void => {
  const { initR, targetR, tinitRatio, tfinalRatio, maxSteps } = settings
  if (targetR > initR) throw new SettingsError('targetR', words`at most ${initR} (${option('initR')})`, String(targetR))
  if (steps === null) return
  if (steps < 2)
    throw new SettingsError(
      maxSteps === null ? 'epochs' : 'maxSteps',
      'at least 2 steps, so that adalora can prune in one of them',
      '1 step',
    )
  const { warmup, final, last } = planSchedule(settings, steps)
  if (final === 0)
    throw new SettingsError('tfinalRatio', `a fraction that is at least one of ${steps} steps`, `${tfinalRatio}, which is none`)
  if (warmup >= last)
    throw new SettingsError(
      'tinitRatio',
      words`at least one of ${steps} steps between warm-up and the ${final} of ${option('tfinalRatio')}`,
      `${tinitRatio}, which leaves none`,
    )
}

/**
 * budget: triplets to keep after step t · cut: triplets to prune in step t, 0 between cuts · learns: whether importances are averaged.
 * PEFT truncates its formula of the budget to an integer.
 */
export const planAllocation = (
  { initR, targetR, deltaT }: Pick<AdaloraSettings, 'initR' | 'targetR' | 'deltaT'>,
  { warmup, last }: Schedule,
  matrices: number,
  t: number,
): { readonly budget: number; readonly cut: number; readonly learns: boolean } => {
  const [first, target] = [initR * matrices, targetR * matrices]
  if (t <= warmup) return { budget: first, cut: 0, learns: true }
  const left = 1 - (Math.min(t, last) - warmup) / (last - warmup)
  const budget = Math.trunc((first - target) * left ** 3 + target)
  return { budget, cut: t >= last || t % deltaT === 0 ? first - budget : 0, learns: t < last }
}

export const adaloraPhase = z.strictObject({
  /** each at its initial rank: a pruned triplet has an E of 0. In an adapter read from a folder, at the remaining rank */
  matrices: matricesSchema,
  /** steps of the whole run; null before its first */
  steps: z.int().min(1).nullable(),
  /** steps done at the last cut, and by matrix which triplets it kept; null before */
  fixed: z.strictObject({ step: z.int().min(0), kept: z.array(z.array(z.boolean()).max(1024)).max(100_000) }).nullable(),
})
export type AdaloraPhase = z.infer<typeof adaloraPhase>

/** The remaining rank of each matrix. Before the last cut this is the initial rank, since any triplet may return. */
export const listRanks = ({ matrices, fixed }: Pick<AdaloraPhase, 'matrices' | 'fixed'>): Readonly<Record<string, number>> =>
  Object.fromEntries(matrices.map(({ name, r }, i) => [name, fixed?.kept[i]?.filter(Boolean).length ?? r]))

export const countTriplets = (phase: Pick<AdaloraPhase, 'matrices' | 'fixed'>): number =>
  Object.values(listRanks(phase)).reduce((sum, rank) => sum + rank, 0)

/** Validates the phase of a checkpoint against the start of its run. */
export const validatePhase = (
  { matrices, steps, fixed }: AdaloraPhase,
  start: AdaloraPhase,
  clock: TrainingProgress,
): { readonly expected: string; readonly got: string } | null => {
  const checks: readonly (readonly [expected: string, got: string, holds: boolean])[] = [
    ['the adapted matrices of its start', `${matrices.length} others`, JSON.stringify(matrices) === JSON.stringify(start.matrices)],
    [`a phase of ${clock.steps} steps`, `one of ${steps}`, steps === clock.steps],
    [`ranks fixed within ${clock.step} steps`, `those of step ${fixed?.step}`, fixed === null || fixed.step <= clock.step],
    [
      'each of its triplets kept or pruned',
      'others',
      fixed === null || (fixed.kept.length === matrices.length && matrices.every(({ r }, i) => fixed.kept[i]?.length === r)),
    ],
  ]
  const failed = checks.find(([, , holds]) => !holds)
  return failed === undefined ? null : { expected: failed[0], got: failed[1] }
}
