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
  | {
      readonly kind: 'yarn'
      readonly factor: number
      /** waves in the trained text that a pair has at the beginning and at the end of the ramp */
      readonly betaFast: number
      readonly betaSlow: number
      readonly originalPositions: number
      /** whether the ramp's ends are moved outwards to whole pairs */
      readonly truncate: boolean
      /** of every turned vector */
      readonly attentionFactor: number
    }
  | {
      readonly kind: 'longrope'
      /** what each pair's frequency is divided by, in texts within the original positions */
      readonly factors: readonly number[]
      readonly attentionFactor: number
    }

export interface RotarySettings {
  /** numbers of one head: even */
  readonly headSize: number
  /** θ, the base of the frequencies */
  readonly base: number
  readonly scaling: RotaryScaling | null
  /** numbers of a head that are turned, the first ones: even (default: all) */
  readonly turned?: number
}

/** ωⱼ = θ^(−2j / headSize), scaled. → headSize / 2 frequencies in radians a position */
export const frequencies = ({ headSize: whole, base, scaling, turned: headSize = whole }: RotarySettings): readonly number[] => {
  if (headSize % 2 !== 0) mismatch('frequencies', 'an even head size', String(headSize))
  return Array.from({ length: headSize / 2 }, (_, j) => {
    const frequency = base ** ((-2 * j) / headSize)
    if (scaling?.kind === 'longrope') return frequency / scaling.factors[j]!
    return scaling?.kind === 'yarn' ? frequency * frequencyShare(scaling, headSize, base, j) : scaled(scaling, frequency)
  })
}

/**
 * YaRN (Peng et al., 2023): the share of its frequency that pair j keeps. Pair p(n) = headSize ln(L / 2πn) / (2 ln θ) has n waves in L positions.
 * Pairs up to p(fast) keep all, those from p(slow) on 1 / factor. Between them is a line.
 */
const frequencyShare = (scaling: RotaryScaling & { readonly kind: 'yarn' }, headSize: number, base: number, j: number): number => {
  const pairWith = (waves: number): number =>
    (headSize / 2) * (Math.log(scaling.originalPositions / (2 * Math.PI * waves)) / Math.log(base))
  const first = pairWith(scaling.betaFast)
  const last = pairWith(scaling.betaSlow)
  const start = Math.max(0, scaling.truncate ? Math.floor(first) : first)
  const end = Math.min(headSize - 1, scaling.truncate ? Math.ceil(last) : last)
  const slope = start === end ? 1000 : 1 / (end - start)
  const ramp = Math.max(0, Math.min(1, slope * (j - start)))
  return 1 - ramp + ramp / scaling.factor
}

/** Llama 3: waves longer than the trained text / low are slowed by the factor, those shorter than it / high are not, between them in proportion. */
const scaled = (scaling: Extract<RotaryScaling, { readonly kind: 'linear' | 'llama3' }> | null, frequency: number): number => {
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
 * Turns each head's pairs (xⱼ, xⱼ₊ₕ), h = headSize / 2, by the angle p ωⱼ: [cos −sin; sin cos], times the attention's factor. `direction` −1 turns back,
 * which is the vjp, as a rotation's transpose is its inverse, and the factor stays. x: [tokens, heads · headSize], positions: one a token
 */
export const rotate =
  (settings: RotarySettings, positions: readonly number[], direction: 1 | -1 = 1) =>
  (x: Tensor): Tensor => {
    const omega = frequencies(settings)
    const [, width] = matrixShape('rotate', x)
    const { scaling, headSize: size, turned = size } = settings
    const factor = scaling?.kind === 'yarn' || scaling?.kind === 'longrope' ? scaling.attentionFactor : 1
    const half = turned / 2
    return generate(x.shape, (i) => {
      const [token, column] = [Math.floor(i / width), i % size]
      if (column >= turned) return x.data[i]!
      const j = column % half
      const angle = direction * positions[token]! * omega[j]!
      const partner = x.data[column < half ? i + half : i - half]!
      return factor * (x.data[i]! * Math.cos(angle) + (column < half ? -partner : partner) * Math.sin(angle))
    })
  }
