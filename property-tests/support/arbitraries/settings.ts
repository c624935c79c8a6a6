/** Hard-concrete settings, and gates with a chosen stretched value. */
import fc from 'fast-check'
import { defaultSettings, sigmoid, type HardConcrete } from '../../../reference/index.js'

export const hardConcrete: fc.Arbitrary<HardConcrete> = fc.oneof(
  fc.constant<HardConcrete>({ tau: defaultSettings.tau, gamma: defaultSettings.gamma, zeta: defaultSettings.zeta }),
  fc.record({
    tau: fc.double({ min: 0.3, max: 3, noNaN: true }),
    gamma: fc.double({ min: -0.5, max: -0.05, noNaN: true }),
    zeta: fc.double({ min: 1.05, max: 1.5, noNaN: true }),
  }),
)

/** The range of s: below 0, inside (0, 1) or above 1, each well away from the kinks of g. */
export const awayFromKinks = ({ gamma, zeta }: HardConcrete): fc.Arbitrary<number> =>
  fc.oneof(
    fc.double({ min: 0.9 * gamma, max: 0.3 * gamma, noNaN: true }),
    fc.double({ min: 0.05, max: 0.95, noNaN: true }),
    fc.double({ min: 1 + 0.3 * (zeta - 1), max: 1 + 0.9 * (zeta - 1), noNaN: true }),
  )

/** The noise that gives a gate of this location the stretched value s: u = σ(τ logit((s − γ)/(ζ − γ)) − log θ). */
export const noiseFor =
  ({ tau, gamma, zeta }: HardConcrete) =>
  (logTheta: number, s: number): number => {
    const x = (s - gamma) / (zeta - gamma)
    return sigmoid(tau * Math.log(x / (1 - x)) - logTheta)
  }
