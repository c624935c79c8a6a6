/** AdamW (Loshchilov and Hutter, 2019), in the order of operations that PyTorch uses. */
import { generate, map, zipWith, zerosLike, type Tensor } from '../tensor/tensor.js'

export interface AdamWSettings {
  readonly beta1: number
  readonly beta2: number
  readonly epsilon: number
}

/** Running means of the gradient (m) and of its square (v), each of the parameter's shape. */
export interface Moments {
  readonly m: Tensor
  readonly v: Tensor
}

export interface AdamWStep {
  readonly learningRate: number
  readonly weightDecay: number
  /** Updates done, this one included: 1 at the first. */
  readonly step: number
}

/** Moments before the first gradient. */
export const initMoments = (parameter: Tensor): Moments => ({ m: zerosLike(parameter), v: zerosLike(parameter) })

/**
 *  - p ← p − η·wd·p
 *  - m ← β₁m + (1 − β₁)∇
 *  - v ← β₂v + (1 − β₂)∇²
 *  - p ← p − η · m̂ / (√v̂ + ε), with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ)
 */
export const adamw =
  ({ beta1, beta2, epsilon }: AdamWSettings) =>
  (parameter: Tensor, gradient: Tensor, moments: Moments, now: AdamWStep): readonly [Tensor, Moments] => {
    const { learningRate, weightDecay, step } = now
    const m = zipWith((mean, grad) => beta1 * mean + (1 - beta1) * grad)(moments.m, gradient)
    const v = zipWith((square, grad) => beta2 * square + (1 - beta2) * grad * grad)(moments.v, gradient)
    const mHat = map((mean) => mean / (1 - beta1 ** step))(m)
    const vHat = map((square) => square / (1 - beta2 ** step))(v)
    const decayed = map((p) => p - learningRate * weightDecay * p)(parameter)
    const move = (i: number): number => (learningRate * mHat.data[i]!) / (Math.sqrt(vHat.data[i]!) + epsilon)
    return [generate(parameter.shape, (i) => decayed.data[i]! - move(i)), { m, v }]
  }
