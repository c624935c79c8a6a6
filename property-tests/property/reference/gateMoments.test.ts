import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  defaultSettings,
  filled,
  map,
  meanGate,
  multiply,
  rootMeanSquareGate,
  sampleGate,
  sum,
  tensor,
  uniform,
  type HardConcrete,
} from '../../../reference/index.js'
import { hardConcrete } from '../../support/arbitraries/settings.js'
import { number } from '../../support/arbitraries/tensors.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

const paper: HardConcrete = defaultSettings
const at = (logTheta: number) => tensor([1], [logTheta])
const mean = (settings: HardConcrete, logTheta: number): number => meanGate(settings)(at(logTheta)).data[0]!
const rms = (settings: HardConcrete, logTheta: number): number => rootMeanSquareGate(settings)(at(logTheta)).data[0]!

/**
 * At τ = 1, P(g > t) = k(1 − x)/(k + (1 − k)x) with k = θ and x = (t − γ)/(ζ − γ). Long division by the denominator leaves polynomials
 * and a logarithm. Both lose digits near k = 1.
 */
const closedForms = (logTheta: number): { readonly mean: number; readonly square: number } => {
  const [k, c, x0, x1] = [Math.exp(logTheta), -Math.expm1(logTheta), 1 / 12, 11 / 12]
  const F = (x: number): number => (k / c) * (Math.log(k + c * x) / c - x)
  const a = (1 + x0 + k / c) / c
  const S = (x: number): number => k * ((-x * x) / (2 * c) + a * x + ((-x0 - a * k) / c) * Math.log(k + c * x))
  return { mean: 1.2 * (F(x1) - F(x0)), square: 2 * 1.44 * (S(x1) - S(x0)) }
}

describe(`the moments of a sampled gate (seed ${SEED})`, () => {
  it.each([
    [-3, 0.0777],
    [-1, 0.3152],
    [0, 0.5],
    [1, 0.6848],
    [3, 0.9223],
  ])('are the published mean at τ = 1: log θ = %d, E[g] = %d', (logTheta, published) =>
    assertClose([mean(paper, logTheta)], [published], { relative: 0, absolute: 5e-5, name: 'E[g]' }),
  )

  it('are those of the closed forms at τ = 1', () =>
    [-8, -3, -1, -0.5, 0.5, 1, 3, 8].forEach((logTheta) => {
      const { mean: first, square } = closedForms(logTheta)
      assertClose([mean(paper, logTheta)], [first], { relative: 1e-11, name: `E[g] at ${logTheta}` })
      assertClose([rms(paper, logTheta)], [Math.sqrt(square)], { relative: 1e-11, name: `√E[g²] at ${logTheta}` })
    }))

  it.each([
    [-3, 1],
    [0, 1],
    [0, 0.5],
    [-1, 2],
    [2, 0.3],
  ])('are those of 200,000 draws: log θ = %d, τ = %d', (logTheta, tau) => {
    const settings = { ...paper, tau }
    const g = sampleGate(settings)(filled([200_000], logTheta), uniform([200_000])(SEED)[0])
    const drawn = [sum(g), sum(multiply(g, g))].map((total) => total / 200_000)
    // Four deviations of a mean of numbers from 0 to 1 are at most 4 · 0.5/√200,000 = 0.0045.
    assertClose([mean(settings, logTheta), rms(settings, logTheta) ** 2], drawn, { relative: 0, absolute: 0.0045, name: 'E[g], E[g²]' })
  })

  it("grow with log θ, and 0 < E[g] ≤ √E[g²] < 1: so the paper's expected value above 0 must be ĝ", () => {
    fc.assert(
      fc.property(hardConcrete, number(-20, 20), number(0.01, 3), (settings, logTheta, rise) => {
        const [first, second] = [mean(settings, logTheta), rms(settings, logTheta)]
        expect(0 < first && first <= second && second < 1).toBe(true)
        expect(mean(settings, logTheta + rise)).toBeGreaterThan(first)
        expect(rms(settings, logTheta + rise)).toBeGreaterThan(second)
      }),
      { seed: SEED, numRuns: 200 },
    )
  })

  it('are symmetric: E[g] at −log θ is 1 − E[g] at log θ if the stretch is symmetric', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.3, max: 5, noNaN: true }), number(-5, 5), (tau, logTheta) => {
        const both = map((sign) => mean({ ...paper, tau }, sign * logTheta))(tensor([2], [1, -1]))
        assertClose([sum(both)], [1], { relative: 1e-13, name: 'E[g] + E[1 − g]' })
      }),
      { seed: SEED, numRuns: 50 },
    )
  })
})
