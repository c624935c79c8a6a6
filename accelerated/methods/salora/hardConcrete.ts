/** Hard-concrete gates (Louizos et al., 2018): equation (7) and equation (8), each written once, for graphs and for decisions outside them. Vectors hold the gates of all matrices, one after another. */
import type { Expression } from '../../graph/expression.js'
import { add, clip, div, log, mul, sigmoid, sub, constant, reduceSum } from '../../graph/operators.js'

/** Operations on vectors of one length. A number is broadcast. */
export type NumericBackend<T> = {
  readonly add: (a: T, b: number) => T
  readonly sub: (a: T, b: number) => T
  readonly mul: (a: T, b: T | number) => T
  readonly sigmoid: (x: T) => T
  readonly clip: (x: T, low: number, high: number) => T
  readonly sum: (x: T) => T
  /** a vector like x with these numbers */
  readonly constant: (values: readonly number[], like: T) => T
}

export const expressionBackend: NumericBackend<Expression> = {
  add,
  sub,
  mul,
  sigmoid,
  clip,
  sum: (x) => reduceSum(x),
  constant: (values, { dtype }) => constant(values, [values.length], dtype),
}

type Numbers = readonly number[]

export const numberBackend: NumericBackend<Numbers> = {
  add: (a, b) => a.map((x) => x + b),
  sub: (a, b) => a.map((x) => x - b),
  mul: (a, b) => a.map((x, i) => x * (typeof b === 'number' ? b : (b[i] ?? NaN))),
  sigmoid: (a) => a.map((x) => 1 / (1 + Math.exp(-x))),
  clip: (a, low, high) => a.map((x) => Math.min(high, Math.max(low, x))),
  sum: (a) => [a.reduce((total, x) => total + x, 0)],
  constant: (values) => values,
}

/** Temperature τ and stretch (γ, ζ), γ < 0 and ζ > 1. */
export type HardConcrete = { readonly tau: number; readonly gamma: number; readonly zeta: number }

/** Noise stays away from 0 and 1, where log(u / (1 − u)) is infinite. */
const smallestNoise = 1e-6

/** The sampled gate, equation (7): s̄ = σ((log(u / (1 − u)) + log θ) / τ) · (ζ − γ) + γ, g = min(1, max(0, s̄)). logTheta, u: [gates] → [gates] */
export const sampleGate =
  ({ tau, gamma, zeta }: HardConcrete) =>
  (logTheta: Expression, u: Expression): Expression => {
    const noise = clip(u, smallestNoise, 1 - smallestNoise)
    const s = sigmoid(div(add(sub(log(noise), log(sub(1, noise))), logTheta), tau))
    const sBar = add(mul(s, zeta - gamma), gamma)
    return clip(sBar, 0, 1)
  }

/** The gate without noise: ĝ = min(1, max(0, σ(log θ) (ζ − γ) + γ)). [gates] → [gates] */
export const deterministicGateOn =
  <T>(on: NumericBackend<T>) =>
  ({ gamma, zeta }: HardConcrete) =>
  (logTheta: T): T =>
    on.clip(on.add(on.mul(on.sigmoid(logTheta), zeta - gamma), gamma), 0, 1)

/** The terms of equation (8): P(gⱼ > 0) = σ(log θⱼ − τ log(−γ / ζ)). [gates] → [gates] */
export const probabilityNonZeroOn =
  <T>(on: NumericBackend<T>) =>
  ({ tau, gamma, zeta }: HardConcrete) =>
  (logTheta: T): T =>
    on.sigmoid(on.sub(logTheta, tau * Math.log(-gamma / zeta)))

/** ĝ in a graph. */
export const deterministicGate = deterministicGateOn(expressionBackend)

/** The terms of equation (8) in a graph: P(gⱼ > 0). [gates] → [gates] */
export const probabilityNonZero = probabilityNonZeroOn(expressionBackend)

const intervals = 4096

/**
 * √E[g²] of one gate, by Simpson's rule: E[g²] = ∫₀¹ 2t P(g > t) dt with P(g > t) = σ(log θ − τ log((t − γ) / (ζ − t))). The integrand is smooth,
 * since γ < 0 and ζ > 1 keep the logarithm finite, but it bends within |γ| of 0 and within ζ − 1 of 1. The relative error is below 1e-12 at γ = −0.1,
 * 1e-10 at −0.01, 2e-7 at −0.001 and 1e-5 at −0.0001, for τ from 0.1 to 2 and ζ = 1 − γ.
 */
export const rootMeanSquareGate =
  ({ tau, gamma, zeta }: HardConcrete) =>
  (logTheta: number): number => {
    const integrand = (t: number): number => (2 * t) / (1 + Math.exp(tau * Math.log((t - gamma) / (zeta - t)) - logTheta))
    let sum = integrand(0) + integrand(1)
    for (let i = 1; i < intervals; i++) sum += (i % 2 === 0 ? 2 : 4) * integrand(i / intervals)
    return Math.sqrt(sum / (3 * intervals))
  }

/** log(−γ / ζ): the log θ below which ĝ is 0. */
export const shutLogTheta = ({ gamma, zeta }: HardConcrete): number => Math.log(-gamma / zeta)
