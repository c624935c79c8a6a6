/** Rotary position embeddings (Su et al., 2021), with the halves of a head paired as in Hugging Face's code. */
import type { Expression } from '../../graph/expression.js'
import { cast, concat, constant, cos, mul, reshape, rotaryEmbedding, sin, slice } from '../../graph/operators.js'

/**
 * linear divides all frequencies by `factor`, llama3 only low ones. yarn (Peng et al., 2023) divides the last pairs of a head, with a line from the
 * first ones to them. longrope (Ding et al., 2024) divides each pair by a factor of its own. Both multiply cosines and sines by `attentionFactor`.
 */
export type RotaryScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3'
      readonly factor: number
      readonly lowFrequencyFactor: number
      readonly highFrequencyFactor: number
      readonly originalPositions: number
    }
  | {
      readonly kind: 'yarn'
      readonly factor: number
      /** turns within the original positions: with more than `betaFast` a pair keeps its frequency, with fewer than `betaSlow` it is divided */
      readonly betaFast: number
      readonly betaSlow: number
      readonly originalPositions: number
      /** whether the line begins and ends at whole pairs */
      readonly truncate: boolean
      readonly attentionFactor: number
    }
  | {
      readonly kind: 'longrope'
      /** by pair, of texts within the original positions */
      readonly factors: readonly number[]
      readonly attentionFactor: number
    }

type RotarySettings = { readonly headSize: number; readonly rotaryBase: number; readonly rotaryScaling: RotaryScaling | null }

/** Cosines and sines of the angles of each token: [tokens, headSize / 2] */
export type Angles = { readonly cosine: Expression; readonly sine: Expression }

/** Radians per position for each pair of a head: θ^(−2j/headSize), after scaling. */
export const rotaryFrequencies = ({ headSize, rotaryBase, rotaryScaling }: RotarySettings): readonly number[] => {
  const pairs = Array.from({ length: headSize / 2 }, (_, j) => rotaryBase ** (-(2 * j) / headSize))
  if (rotaryScaling === null) return pairs
  if (rotaryScaling.kind === 'linear') return pairs.map((frequency) => frequency / rotaryScaling.factor)
  if (rotaryScaling.kind === 'longrope') return pairs.map((frequency, j) => frequency / (rotaryScaling.factors[j] ?? NaN))
  const { factor, originalPositions } = rotaryScaling
  if (rotaryScaling.kind === 'yarn') {
    const { betaFast, betaSlow, truncate } = rotaryScaling
    const findPair = (turns: number): number =>
      (headSize * Math.log(originalPositions / (2 * Math.PI * turns))) / (2 * Math.log(rotaryBase))
    const [fast, slow] = truncate
      ? [Math.floor(findPair(betaFast)), Math.ceil(findPair(betaSlow))]
      : [findPair(betaFast), findPair(betaSlow)]
    const [from, to] = [Math.max(fast, 0), Math.min(slow, headSize - 1)]
    return pairs.map((frequency, j) => {
      const divided = Math.min(1, Math.max(0, (j - from) / (to === from ? 1e-3 : to - from)))
      return (frequency / factor) * divided + frequency * (1 - divided)
    })
  }
  const { lowFrequencyFactor, highFrequencyFactor } = rotaryScaling
  return pairs.map((frequency) => {
    const length = (2 * Math.PI) / frequency
    const kept = (originalPositions / length - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
    const share = Math.min(1, Math.max(0, kept)) // share of the unscaled frequency: 0 for low frequencies, 1 for high ones
    return frequency * (share + (1 - share) / factor)
  })
}

/** The factor of cosines and sines, so that its square is that of the scores. */
const getAttentionFactor = ({ rotaryScaling }: RotarySettings): number =>
  rotaryScaling?.kind === 'yarn' || rotaryScaling?.kind === 'longrope' ? rotaryScaling.attentionFactor : 1

/** YaRN's, where a file gives none. @param by how much it grows */
export const usualAttentionFactor = (factor: number, by = 1): number => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1)

/** positions: int32 [tokens] */
export const rotaryAngles = (settings: RotarySettings, positions: Expression, dtype: 'float32' | 'float64'): Angles => {
  const frequencies = rotaryFrequencies(settings)
  const [tokens = 1] = positions.shape
  const pairs = constant(frequencies, [1, frequencies.length], dtype)
  const angles = mul(reshape(cast(positions, dtype), [tokens, 1]), pairs)
  const scale = getAttentionFactor(settings)
  const scaled = (x: Expression): Expression => (scale === 1 ? x : mul(x, scale))
  return { cosine: scaled(cos(angles)), sine: scaled(sin(angles)) }
}

/** Rotates the numbers of each head that have an angle, the first ones, and leaves the others. x: [tokens, heads · headSize] → the same */
export const rotateHeads = (x: Expression, heads: number, { cosine, sine }: Angles): Expression => {
  const [tokens = 1, width = 1] = x.shape
  const [headSize, size] = [Number(width) / heads, 2 * Number(cosine.shape[1])]
  if (size === headSize) return rotaryEmbedding(x, heads, cosine, sine)
  const byHead = reshape(x, [tokens, heads, headSize])
  const rotated = rotaryEmbedding(reshape(slice(byHead, 2, 0, size), [tokens, heads * size]), heads, cosine, sine)
  return reshape(concat([reshape(rotated, [tokens, heads, size]), slice(byHead, 2, size, headSize - size)], 2), [tokens, width])
}

/** The frequencies, which old checkpoints carry. */
export const isRotaryBuffer = (tensor: string): boolean => tensor.endsWith('.rotary_emb.inv_freq')
