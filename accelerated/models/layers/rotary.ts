/** Rotary position embeddings (Su et al., 2021), with the halves of a head paired as in Hugging Face's code. */
import type { Expression } from '../../graph/expression.js'
import { cast, constant, cos, mul, reshape, sin } from '../../graph/operators.js'

/** linear: all frequencies are divided by `factor`; llama3: only low ones are. */
export type RotaryScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3'
      readonly factor: number
      readonly lowFrequencyFactor: number
      readonly highFrequencyFactor: number
      readonly originalPositions: number
    }

export type RotarySettings = { readonly headSize: number; readonly rotaryBase: number; readonly rotaryScaling: RotaryScaling | null }

/** Cosines and sines of the angles of each token: [tokens, headSize / 2] */
export type Angles = { readonly cosine: Expression; readonly sine: Expression }

/** Radians per position for each pair of a head: θ^(−2j/headSize), after scaling. */
export const rotaryFrequencies = ({ headSize, rotaryBase, rotaryScaling }: RotarySettings): ReadonlyArray<number> => {
  const pairs = Array.from({ length: headSize / 2 }, (_, j) => rotaryBase ** (-(2 * j) / headSize))
  if (rotaryScaling === null) return pairs
  if (rotaryScaling.kind === 'linear') return pairs.map((frequency) => frequency / rotaryScaling.factor)
  const { factor, lowFrequencyFactor, highFrequencyFactor, originalPositions } = rotaryScaling
  return pairs.map((frequency) => {
    const length = (2 * Math.PI) / frequency
    const kept = (originalPositions / length - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)
    const share = Math.min(1, Math.max(0, kept)) // share of the unscaled frequency: 0 for low frequencies, 1 for high ones
    return frequency * (share + (1 - share) / factor)
  })
}

/** positions: int32 [tokens] */
export const rotaryAngles = (settings: RotarySettings, positions: Expression, dtype: 'float32' | 'float64'): Angles => {
  const frequencies = rotaryFrequencies(settings)
  const [tokens = 1] = positions.shape
  const pairs = constant(frequencies, [1, frequencies.length], dtype)
  const angles = mul(reshape(cast(positions, dtype), [tokens, 1]), pairs)
  return { cosine: cos(angles), sine: sin(angles) }
}
