/** The Gaussian error linear unit (Hendrycks and Gimpel, 2016), exact and in its tanh approximation. */
import { map, multiply, type Tensor } from '../tensor/tensor.js'

export type Activation = 'gelu' | 'gelu_tanh'

interface Curve {
  readonly value: (x: number) => number
  readonly slope: (x: number) => number
}

/** Φ(x), the standard normal distribution function. */
const normalCdf = (x: number): number => erfc(-x / Math.SQRT2) / 2

const normalDensity = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)

/** x Φ(x), of slope Φ(x) + x φ(x) */
const exact: Curve = {
  value: (x) => x * normalCdf(x),
  slope: (x) => normalCdf(x) + x * normalDensity(x),
}

const cubic = 0.044715
const inner = (x: number): number => Math.sqrt(2 / Math.PI) * (x + cubic * x ** 3)
const innerSlope = (x: number): number => Math.sqrt(2 / Math.PI) * (1 + 3 * cubic * x * x)

/** x/2 (1 + tanh t) with t = √(2/π)(x + 0.044715 x³), of slope (1 + tanh t)/2 + x/2 (1 − tanh² t) t′ */
const approximate: Curve = {
  value: (x) => (x / 2) * (1 + Math.tanh(inner(x))),
  slope: (x) => (1 + Math.tanh(inner(x))) / 2 + (x / 2) * (1 - Math.tanh(inner(x)) ** 2) * innerSlope(x),
}

const curves: Readonly<Record<Activation, Curve>> = { gelu: exact, gelu_tanh: approximate }

/** x: any shape → the same shape */
export const gelu =
  (kind: Activation) =>
  (x: Tensor): Tensor =>
    map(curves[kind].value)(x)

/** x, yBar: the same shape → that shape */
export const geluVjp =
  (kind: Activation) =>
  (x: Tensor, yBar: Tensor): Tensor =>
    multiply(yBar, map(curves[kind].slope)(x))

/** The error function to float64's accuracy: a series near 0, a continued fraction in the tails. */

const counting = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)

// At the border the series' terms fall below 2⁻⁵³ of the sum before the 30th, and the fraction settles before the 100th. Left of it
// erfc = 1 − erf loses at most a digit and a half, as erfc(1.5) = 0.034.
const border = 1.5
const seriesTerms = counting(30)
const fractionTerms = counting(100)

/** erf x = 2/√π · x e^(−x²) Σₙ (2x²)ⁿ / (1·3·5···(2n + 1)): every term has one sign, so nothing cancels. */
const series = (x: number): number =>
  (2 / Math.sqrt(Math.PI)) * x * Math.exp(-x * x) * seriesTerms.reduceRight((rest, n) => 1 + (rest * 2 * x * x) / (2 * n + 3), 1)

/** erfc x = e^(−x²)/√π · 1/(x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ···)))), for x > 0 */
const fraction = (x: number): number =>
  Math.exp(-x * x) / Math.sqrt(Math.PI) / fractionTerms.reduceRight((rest, n) => x + (n + 1) / 2 / rest, x)

/** erfc x = 1 − erf x, accurate relative to itself in the right tail. */
export const erfc = (x: number): number => (x > border ? fraction(x) : x < -border ? 2 - fraction(-x) : 1 - series(x))

/** erf x = 2/√π ∫₀ˣ e^(−t²) dt */
export const erf = (x: number): number => (Math.abs(x) <= border ? series(x) : x > 0 ? 1 - fraction(x) : fraction(-x) - 1)
