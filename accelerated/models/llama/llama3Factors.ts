/** Llama 3's scaling of rotary frequencies from the factors that a GGUF file has in its place. */
import { inputError } from '../../errors/inputError.js'
import { rotaryFrequencies } from '../layers/rotary.js'

/** A file gives no original length. Only its ratios to the others count, so this one serves all. */
const originalPositions = 8_192

/** Factors are float32 numbers. */
const tolerance = 1e-5

/**
 * A frequency's share s of its unscaled value follows from its factor f: 1 / f = s + (1 − s) / F, where F is the largest. Between 0 and 1, s is a
 * line over turns per position: s = a c − b.
 * @returns rope_scaling of config.json; null if all factors are 1 @throws InputError for factors that are no scaling of this kind
 */
export const llama3Scaling = (
  factors: Float32Array,
  { base, headSize }: { readonly base: number; readonly headSize: number },
  file: string,
): object | null => {
  const factor = Math.max(...factors)
  if (factors.every((f) => Math.abs(f - 1) < tolerance)) return null
  const plain = rotaryFrequencies({ headSize, rotaryBase: base, rotaryScaling: null })
  const points = plain.map((frequency, i) => ({
    c: frequency / (2 * Math.PI),
    s: (1 / (factors[i] ?? NaN) - 1 / factor) / (1 - 1 / factor),
  }))
  const { a, b } = lineThrough(points)
  const width = originalPositions / a
  const [low, high] = [b * width, (b + 1) * width]
  const rotaryScaling = { kind: 'llama3', factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } as const
  const scaled = rotaryFrequencies({ headSize, rotaryBase: base, rotaryScaling })
  const isSame = (frequency: number, i: number): boolean =>
    Math.abs(frequency / (scaled[i] ?? NaN) - (factors[i] ?? NaN)) <= tolerance * (factors[i] ?? NaN)
  if (factors.length !== plain.length || !(low > 0) || !plain.every(isSame))
    throw inputError(file, "rope_freqs.weight of Llama 3's scaling", 'other factors')
  return { rope_type: 'llama3', factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: originalPositions }
}

type Point = { readonly c: number; readonly s: number }

/** Through the points between 0 and 1; with fewer than two of them, as far as the nearest points at 0 and 1 allow. */
const lineThrough = (points: ReadonlyArray<Point>): { readonly a: number; readonly b: number } => {
  const between = points.filter(({ s }) => s > tolerance && s < 1 - tolerance)
  const whole = Math.min(...points.filter(({ s }) => s >= 1 - tolerance).map(({ c }) => c))
  const none = Math.max(...points.filter(({ s }) => s <= tolerance).map(({ c }) => c))
  const [first, last] = [between[0], between.at(-1)]
  if (first === undefined || last === undefined) return { a: 1 / (whole - none), b: none / (whole - none) }
  const a =
    first === last ? Math.max((1 - first.s) / (whole - first.c), first.s / (first.c - none)) : (first.s - last.s) / (first.c - last.c)
  return { a, b: a * first.c - first.s }
}
