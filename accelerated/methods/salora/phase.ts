/** A SaLoRA phase, as every checkpoint of a run stores it. */
import { z } from 'zod'
import { matricesSchema } from '../lowRank.js'

const count = z.int().min(0)

/** before: plain LoRA · gated: gates are sampled, T_start ≤ t < T_end · after: the retained triplets, plain LoRA again */
export const saloraPhase = z.strictObject({
  stage: z.enum(['before', 'gated', 'after']),
  matrices: matricesSchema,
  /** steps done when gates were first sampled, and C(Θ) then */
  opened: z.strictObject({ step: count, density: z.number() }).nullable(),
  /** the result of T_end, and the steps done then */
  retained: z
    .strictObject({
      step: count,
      /** null if gates were never sampled */
      expectedDensity: z.number().nullable(),
      retainedDensity: z.number(),
      ranks: z.record(z.string(), count),
      lambda: z.number().nullable(),
    })
    .nullable(),
  /** by matrix, the constant gates of the retained triplets (gateAfter kept); null: all are 1 */
  gates: z.array(z.array(z.number())).nullable(),
  /** by matrix, ‖Bⱼ‖² at T_end; null before */
  squaredNorms: z.array(z.array(z.number())).nullable(),
})

export type SaloraPhase = z.infer<typeof saloraPhase>

/** r of all matrices together: one gate for each triplet. */
export const gateCount = ({ matrices }: Pick<SaloraPhase, 'matrices'>): number => matrices.reduce((sum, { r }) => sum + r, 0)
