/** An AdaLoRA phase, as every checkpoint of a run stores it: matrices, the run's length and, after the last cut, the kept triplets. */
import { z } from 'zod'
import { matricesSchema } from '../lowRank.js'
import type { TrainingProgress } from '../method.js'

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
export const ranksOf = ({ matrices, fixed }: Pick<AdaloraPhase, 'matrices' | 'fixed'>): Readonly<Record<string, number>> =>
  Object.fromEntries(matrices.map(({ name, r }, i) => [name, fixed?.kept[i]?.filter(Boolean).length ?? r]))

export const tripletsOf = (phase: Pick<AdaloraPhase, 'matrices' | 'fixed'>): number =>
  Object.values(ranksOf(phase)).reduce((sum, rank) => sum + rank, 0)

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
