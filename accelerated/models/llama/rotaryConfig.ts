/** The rotary embeddings that a decoder's config.json describes, with the defaults of transformers. */
import { z } from 'zod'
import { inputError, quoted } from '../../errors/inputError.js'
import { usualAttentionFactor, type RotaryScaling } from '../layers/rotary.js'
import type { Rotary } from './family.js'

const positions = z.int().min(1).max(100_000_000)
const ropeType = z.string().max(100)
export const ropeSchema = z.object({
  rope_type: ropeType.optional(),
  type: ropeType.optional(), // the older name
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().nullish(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: positions.optional(),
  beta_fast: z.number().nonnegative().nullish(),
  beta_slow: z.number().nonnegative().nullish(),
  attention_factor: z.number().nonnegative().nullish(),
  mscale: z.number().nonnegative().nullish(),
  mscale_all_dim: z.number().nonnegative().nullish(),
  truncate: z.boolean().nullish(),
})
export type Rope = z.infer<typeof ropeSchema>

/** @param otherwise what holds where `rope` is silent @throws InputError for another scaling, and for one that lacks a number */
export const rotaryOf = (
  rope: Rope | null | undefined,
  otherwise: { readonly base: number; readonly maxPositions: number },
  where: string,
): Rotary => {
  const rotaryBase = rope?.rope_theta ?? otherwise.base
  return { rotaryBase, rotaryScaling: scalingOf(rope ?? {}, rotaryBase, otherwise.maxPositions, where) }
}

const scalingOf = (rope: Rope, base: number, maxPositions: number, where: string): RotaryScaling | null => {
  const kind = rope.rope_type ?? rope.type ?? 'default'
  if (kind === 'default') return null
  if (kind === 'dynamic') return null // it differs from the default only beyond max_position_embeddings, which no text exceeds
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = rope
  if (kind === 'linear' && factor != null) return { kind, factor }
  if (kind === 'llama3' && factor != null && low !== undefined && high !== undefined && original !== undefined && low < high)
    return { kind, factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions: original }
  if (kind === 'yarn' && base > 1) return yarnOf(rope, maxPositions)
  throw inputError(
    where,
    'a rope_type of default, dynamic, linear (with factor), llama3 (with factor, low_freq_factor below high_freq_factor, original_max_position_embeddings) or yarn (with rope_theta above 1)',
    `${quoted(kind)} ${JSON.stringify(rope)}`,
  )
}

/** With the defaults of transformers: 0 is none, the factor is that of the positions, and the attention's factor follows from it. */
const yarnOf = (rope: Rope, maxPositions: number): RotaryScaling => {
  const originalPositions = rope.original_max_position_embeddings ?? maxPositions
  const factor = rope.factor ?? maxPositions / originalPositions
  const { mscale, mscale_all_dim: ofAll } = rope
  const inferred =
    mscale && ofAll ? usualAttentionFactor(factor, mscale) / usualAttentionFactor(factor, ofAll) : usualAttentionFactor(factor)
  return {
    kind: 'yarn',
    factor,
    betaFast: rope.beta_fast || 32,
    betaSlow: rope.beta_slow || 1,
    originalPositions,
    truncate: rope.truncate ?? true,
    attentionFactor: rope.attention_factor ?? inferred,
  }
}
