/** Moments of a sampled gate: its mean, and the root of its mean square. */
import { map, type Tensor } from '../../tensor/tensor.js'
import { sigmoid, type HardConcrete } from './hardConcrete.js'

const step = 1 / 64
const nodes = Array.from({ length: 417 }, (_, i) => (i - 208) * step) // from −3.25 to 3.25

/**
 * ∫₀¹ f(t) dt by the double-exponential rule (Takahasi and Mori, 1974), with t = σ(π sinh y), of slope π cosh y · t(1 − t). The integrand
 * falls off doubly exponentially, and a sum over equal steps in y converges exponentially.
 */
const integral = (f: (t: number) => number): number =>
  nodes.reduce((total, y) => {
    const t = sigmoid(Math.PI * Math.sinh(y))
    return total + step * Math.PI * Math.cosh(y) * t * (1 - t) * f(t)
  }, 0)

/**
 * E[gⁿ] = ∫₀¹ n tⁿ⁻¹ P(g > t) dt, where P(g > t) = P(s > t) = σ(log θ − τ log((t − γ) / (ζ − t))): equation (8) with t in place of 0.
 * Its relative error is at most 1e-13 for τ from 0.1 to 5 and any log θ, and 1e-10 at τ = 10.
 */
const moment =
  (n: 1 | 2) =>
  ({ tau, gamma, zeta }: HardConcrete) =>
  (logTheta: number): number =>
    integral((t) => n * t ** (n - 1) * sigmoid(logTheta - tau * Math.log((t - gamma) / (zeta - t))))

/** E[g], which is always above 0: the paper's "expected value" of a gate must therefore be ĝ. logTheta: [r] → [r] */
export const meanGate = (settings: HardConcrete): ((logTheta: Tensor) => Tensor) => map(moment(1)(settings))

/** ḡ = √E[g²]. logTheta: [r] → [r] */
export const rootMeanSquareGate = (settings: HardConcrete): ((logTheta: Tensor) => Tensor) =>
  map((logTheta) => Math.sqrt(moment(2)(settings)(logTheta)))
