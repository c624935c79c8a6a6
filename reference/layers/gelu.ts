/** The Gaussian error linear unit (Hendrycks and Gimpel, 2016), exact and in its tanh approximation. */
import { map, multiply, type Tensor } from '../tensor/tensor.js'
import { erfc } from './erf.js'

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
