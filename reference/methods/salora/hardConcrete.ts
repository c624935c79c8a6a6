/** Hard-concrete gates (Louizos, Welling and Kingma, 2018), a differentiable L0 norm: equation (7) and equation (8). */
import { checkShape, generate, map, multiply, sum, zipWith, type Tensor } from '../../tensor/tensor.js'

/** τ, the temperature, and (γ, ζ), the interval that (0, 1) is stretched to; τ > 0, γ < 0, ζ > 1. */
export interface HardConcrete {
  readonly tau: number
  readonly gamma: number
  readonly zeta: number
}

/** Noise stays away from 0 and 1, where its logit is infinite. */
export const noiseMargin = 1e-6

export const sigmoid = (x: number): number => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x)))

const clamp =
  (low: number, high: number) =>
  (x: number): number =>
    Math.min(high, Math.max(low, x))

const logit = (u: number): number => Math.log(u / (1 - u))

/** log(−γ / ζ): ĝ is above 0 where log θ is above this, P(g > 0) above ½ where log θ is above τ times this. */
export const logRatio = ({ gamma, zeta }: HardConcrete): number => Math.log(-gamma / zeta)

/** σ((log(u / (1 − u)) + log θ) / τ), the concrete variable before it is stretched. logTheta, u: [r] → [r] */
const concrete =
  ({ tau }: HardConcrete) =>
  (logTheta: Tensor, u: Tensor): Tensor =>
    zipWith((location, noise) => sigmoid((logit(clamp(noiseMargin, 1 - noiseMargin)(noise)) + location) / tau))(logTheta, u)

/** s = σ(·)(ζ − γ) + γ */
const stretch = ({ gamma, zeta }: HardConcrete) => map((sigma) => sigma * (zeta - gamma) + gamma)

const clip = map(clamp(0, 1))

/** g = min(1, max(0, s)), s = σ((log(u / (1 − u)) + log θ) / τ)(ζ − γ) + γ, equation (7). logTheta, u: [r] → [r] */
export const sampleGate =
  (settings: HardConcrete) =>
  (logTheta: Tensor, u: Tensor): Tensor =>
    clip(stretch(settings)(concrete(settings)(logTheta, u)))

/**
 * ∂g/∂log θ · ḡ = (ζ − γ) σ(1 − σ) / τ · ḡ for 0 < s < 1, and 0 where g is clipped. logTheta, u, gBar: [r] → [r]
 * At the kinks, s = 0 and s = 1, the derivative is 0: there the gate counts as clipped.
 */
export const sampleGateVjp =
  (settings: HardConcrete) =>
  (logTheta: Tensor, u: Tensor, gBar: Tensor): Tensor => {
    const { tau, gamma, zeta } = settings
    const sigma = concrete(settings)(logTheta, u)
    const s = stretch(settings)(sigma)
    checkShape('sampleGateVjp', gBar, logTheta.shape)
    return generate(s.shape, (i) => {
      const inside = s.data[i]! > 0 && s.data[i]! < 1
      return inside ? (gBar.data[i]! * (zeta - gamma) * sigma.data[i]! * (1 - sigma.data[i]!)) / tau : 0
    })
  }

/** ĝ = min(1, max(0, σ(log θ)(ζ − γ) + γ)), the gate without noise; the paper's "expected value". logTheta: [r] → [r] */
export const deterministicGate =
  (settings: HardConcrete) =>
  (logTheta: Tensor): Tensor =>
    clip(stretch(settings)(map(sigmoid)(logTheta)))

/** P(g > 0) = σ(log θ − τ log(−γ / ζ)), a term of equation (8). logTheta: [r] → [r] */
export const probabilityNonZero =
  (settings: HardConcrete) =>
  (logTheta: Tensor): Tensor =>
    map((location) => sigmoid(location - settings.tau * logRatio(settings)))(logTheta)

/** ∂P/∂log θ · p̄ = P(1 − P) p̄. logTheta, pBar: [r] → [r] */
export const probabilityNonZeroVjp =
  (settings: HardConcrete) =>
  (logTheta: Tensor, pBar: Tensor): Tensor =>
    multiply(pBar, map((p) => p * (1 - p))(probabilityNonZero(settings)(logTheta)))

/** E‖G‖₀ = Σⱼ P(gⱼ > 0) = Σⱼ σ(log θⱼ − τ log(−γ / ζ)), the expected number of open gates, equation (8). */
export const expectedL0 =
  (settings: HardConcrete) =>
  (logTheta: Tensor): number =>
    sum(probabilityNonZero(settings)(logTheta))

/** ∂E‖G‖₀/∂log θ · l̄. logTheta: [r] → [r] */
export const expectedL0Vjp =
  (settings: HardConcrete) =>
  (logTheta: Tensor, l0Bar: number): Tensor =>
    probabilityNonZeroVjp(settings)(logTheta, map(() => l0Bar)(logTheta))
