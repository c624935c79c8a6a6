/** Hard-concrete gates as expressions: equations (7) and (8). Vectors hold the gates of all matrices, one after another. */
import type { Expression } from '../../graph/expression.js'
import { add, clip, div, log, mul, sigmoid, sub } from '../../graph/operators.js'

/** Temperature τ and stretch (γ, ζ), γ < 0 and ζ > 1. */
export type HardConcrete = { readonly tau: number; readonly gamma: number; readonly zeta: number }

/** The noise is kept off 0 and 1, where log(u / (1 − u)) is infinite. */
const smallestNoise = 1e-6

/** Eq. (7): s̄ = σ((log(u / (1 − u)) + log θ) / τ) · (ζ − γ) + γ, g = min(1, max(0, s̄)). logTheta, u: [gates] → [gates]. */
export const sampleGate =
  ({ tau, gamma, zeta }: HardConcrete) =>
  (logTheta: Expression, u: Expression): Expression => {
    const noise = clip(u, smallestNoise, 1 - smallestNoise)
    const s = sigmoid(div(add(sub(log(noise), log(sub(1, noise))), logTheta), tau))
    const sBar = add(mul(s, zeta - gamma), gamma)
    return clip(sBar, 0, 1)
  }

/** The gate without noise: ĝ = min(1, max(0, σ(log θ) (ζ − γ) + γ)). [gates] → [gates] */
export const deterministicGate =
  ({ gamma, zeta }: HardConcrete) =>
  (logTheta: Expression): Expression =>
    clip(add(mul(sigmoid(logTheta), zeta - gamma), gamma), 0, 1)

/** Eq. (8), term by term: P(gⱼ > 0) = σ(log θⱼ − τ log(−γ / ζ)). [gates] → [gates] */
export const probabilityNonZero =
  ({ tau, gamma, zeta }: HardConcrete) =>
  (logTheta: Expression): Expression =>
    sigmoid(sub(logTheta, tau * Math.log(-gamma / zeta)))
