/** Where an AdaLoRA run stands: its matrices, its length, and after the last cut what is left of each. */
import { z } from 'zod'
import { matricesSchema } from '../lowRank.js'
import type { TrainingProgress } from '../method.js'

export const adaloraPhase = z.strictObject({
  /** all at the rank that they start with: what is cut of one is an E of 0. In an adapter from a folder, at the rank that is left */
  matrices: matricesSchema,
  /** of the whole run; null before its first */
  steps: z.int().min(1).nullable(),
  /** steps done when the last triplets were cut, and by matrix which of them stayed; null before */
  fixed: z.strictObject({ step: z.int().min(0), kept: z.array(z.array(z.boolean()).max(1024)).max(100_000) }).nullable(),
})
export type AdaloraPhase = z.infer<typeof adaloraPhase>

/** What is left of each matrix; before the last cut everything, since any triplet may return. */
export const ranksOf = ({ matrices, fixed }: Pick<AdaloraPhase, 'matrices' | 'fixed'>): Readonly<Record<string, number>> =>
  Object.fromEntries(matrices.map(({ name, r }, i) => [name, fixed?.kept[i]?.filter(Boolean).length ?? r]))

export const tripletsOf = (phase: Pick<AdaloraPhase, 'matrices' | 'fixed'>): number =>
  Object.values(ranksOf(phase)).reduce((sum, rank) => sum + rank, 0)

/** A phase is that of its start, the run's length and, after the last cut, which triplets stayed. */
export const validatePhase = (
  { matrices, steps, fixed }: AdaloraPhase,
  start: AdaloraPhase,
  clock: TrainingProgress,
): { readonly expected: string; readonly got: string } | null => {
  const checks: ReadonlyArray<readonly [expected: string, got: string, holds: boolean]> = [
    ['the adapted matrices of its start', `${matrices.length} others`, JSON.stringify(matrices) === JSON.stringify(start.matrices)],
    [`a phase of ${clock.steps} steps`, `one of ${steps}`, steps === clock.steps],
    [`ranks fixed within ${clock.step} steps`, `those of step ${fixed?.step}`, fixed === null || fixed.step <= clock.step],
    [
      'each of its triplets kept or cut',
      'others',
      fixed === null || (fixed.kept.length === matrices.length && matrices.every(({ r }, i) => fixed.kept[i]?.length === r)),
    ],
  ]
  const failed = checks.find(([, , holds]) => !holds)
  return failed === undefined ? null : { expected: failed[0], got: failed[1] }
}
