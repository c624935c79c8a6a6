/** Rotary position embeddings (Su et al., 2021), with the scalings by which longer texts are reached. */
import { mismatch } from '../tensor/shape.js'
import { generate, matrixShape, type Tensor } from '../tensor/tensor.js'

/** How the angles are made slower than the default's. */
export type RotaryScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3'
      readonly factor: number
      readonly lowFrequencyFactor: number
      readonly highFrequencyFactor: number
      /** positions that the model was first trained on */
      readonly originalPositions: number
    }

export interface RotarySettings {
  /** numbers of one head: even */
  readonly headSize: number
  /** θ, the base of the frequencies */
  readonly base: number
  readonly scaling: RotaryScaling | null
}

/** ωⱼ = θ^(−2j / headSize), scaled. → headSize / 2 frequencies in radians a position */
export const frequencies = ({ headSize, base, scaling }: RotarySettings): ReadonlyArray<number> => {
  if (headSize % 2 !== 0) mismatch('frequencies', 'an even head size', String(headSize))
  return Array.from({ length: headSize / 2 }, (_, j) => scaled(scaling, base ** ((-2 * j) / headSize)))
}

/** Llama 3: waves longer than the trained text / low are slowed by the factor, those shorter than it / high are not, between them in proportion. */
const scaled = (scaling: RotaryScaling | null, frequency: number): number => {
  if (scaling === null) return frequency
  if (scaling.kind === 'linear') return frequency / scaling.factor
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } = scaling
  const waves = (originalPositions * frequency) / (2 * Math.PI) // in the text that was trained on
  if (waves <= low) return frequency / factor
  if (waves >= high) return frequency
  const share = (waves - low) / (high - low)
  return ((1 - share) * frequency) / factor + share * frequency
}

/**
 * Turns each head's pairs (xⱼ, xⱼ₊ₕ), h = headSize / 2, by the angle p ωⱼ: [cos −sin; sin cos]. `direction` −1 turns back, which is the
 * vjp, as a rotation's transpose is its inverse. x: [tokens, heads · headSize], positions: one a token
 */
export const rotate =
  (settings: RotarySettings, positions: ReadonlyArray<number>, direction: 1 | -1 = 1) =>
  (x: Tensor): Tensor => {
    const omega = frequencies(settings)
    const [, width] = matrixShape('rotate', x)
    const [size, half] = [settings.headSize, settings.headSize / 2]
    return generate(x.shape, (i) => {
      const [token, column] = [Math.floor(i / width), i % size]
      const j = column % half
      const angle = direction * positions[token]! * omega[j]!
      const partner = x.data[column < half ? i + half : i - half]!
      return x.data[i]! * Math.cos(angle) + (column < half ? -partner : partner) * Math.sin(angle)
    })
  }
