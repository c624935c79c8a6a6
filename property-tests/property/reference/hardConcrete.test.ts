import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  defaultSettings,
  deterministicGate,
  expectedL0,
  expectedL0Vjp,
  filled,
  probabilityNonZero,
  probabilityNonZeroVjp,
  sampleGate,
  sampleGateVjp,
  tensor,
  uniform,
  type HardConcrete,
  type Tensor,
} from '../../../reference/index.js'
import { awayFromKinks, hardConcrete, noiseFor } from '../../support/arbitraries/settings.js'
import { number, tensorOf } from '../../support/arbitraries/tensors.js'
import { assertClose } from '../../support/assertClose.js'
import { assertVjp } from '../../support/finiteDifference.js'
import { SEED } from '../../support/seed.js'

const options = { seed: SEED, numRuns: 200 }
const paper: HardConcrete = defaultSettings
const one = (x: number): Tensor => tensor([1], [x])
const only = (x: Tensor): number => x.data[0]!
const noise = fc.double({ min: 1e-6, max: 1 - 1e-6, noNaN: true })
const draws = 200_000
const sampled = (settings: HardConcrete, logTheta: number): Tensor =>
  sampleGate(settings)(filled([draws], logTheta), uniform([draws])(SEED)[0])

describe(`hard-concrete gates (seed ${SEED})`, () => {
  it('are between 0 and 1', () => {
    fc.assert(
      fc.property(hardConcrete, number(-30, 30), fc.double({ min: 0, max: 1, noNaN: true }), (settings, logTheta, u) => {
        const g = only(sampleGate(settings)(one(logTheta), one(u)))
        expect(g >= 0 && g <= 1).toBe(true)
      }),
      options,
    )
  })

  it('never close further when log θ or the noise grows, equation (7)', () => {
    fc.assert(
      fc.property(hardConcrete, number(-5, 5), number(0, 5), noise, noise, (settings, logTheta, rise, u1, u2) => {
        const gate = (location: number, u: number) => only(sampleGate(settings)(one(location), one(u)))
        expect(gate(logTheta + rise, u1)).toBeGreaterThanOrEqual(gate(logTheta, u1))
        expect(gate(logTheta, Math.max(u1, u2))).toBeGreaterThanOrEqual(gate(logTheta, Math.min(u1, u2)))
      }),
      options,
    )
  })

  it('are 0.5 for median noise at log θ = 0, and the stretched value of equation (7) for any noise', () => {
    expect(only(sampleGate(paper)(one(0), one(0.5)))).toBeCloseTo(0.5, 15)
    fc.assert(
      fc.property(number(-3, 3), fc.double({ min: 0.05, max: 0.95, noNaN: true }), (logTheta, s) => {
        assertClose(sampleGate(paper)(one(logTheta), one(noiseFor(paper)(logTheta, s))).data, [s], { relative: 1e-12, name: 'g' })
      }),
      options,
    )
  })

  it('treat noise of exactly 0 and 1 as noise at the margin of 1e-6', () => {
    const wide: HardConcrete = { tau: 10, gamma: -0.1, zeta: 1.1 }
    const gate = (u: number) => only(sampleGate(wide)(one(0), one(u)))
    const stretched = (u: number) => 1.2 / (1 + ((1 - u) / u) ** (1 / 10)) - 0.1
    expect(gate(0)).toBe(gate(1e-6))
    expect(gate(1)).toBe(gate(1 - 1e-6))
    assertClose([gate(1e-6)], [stretched(1e-6)], { relative: 1e-12 })
  })

  it('have the gradient of their finite differences away from the kinks', () => {
    const gates = hardConcrete.chain((settings) =>
      fc.tuple(
        fc.constant(settings),
        fc.array(
          fc.record({
            logTheta: number(-3, 3),
            s: awayFromKinks(settings),
            gBar: number(),
          }),
          { minLength: 1, maxLength: 5 },
        ),
      ),
    )
    fc.assert(
      fc.property(gates, ([settings, cases]) => {
        const column = (f: (gate: (typeof cases)[number]) => number) => tensor([cases.length], cases.map(f))
        const u = column(({ logTheta, s }) => noiseFor(settings)(logTheta, s))
        assertVjp({
          name: 'sampleGate',
          inputs: { logTheta: column(({ logTheta }) => logTheta) },
          yBar: column(({ gBar }) => gBar),
          forward: ({ logTheta }) => sampleGate(settings)(logTheta!, u),
          vjp: ({ logTheta }, gBar) => ({ logTheta: sampleGateVjp(settings)(logTheta!, u, gBar) }),
        })
      }),
      options,
    )
  })

  it('have gradient 0 at the kinks, where the gate counts as clipped', () => {
    // σ = 1/2 exactly, so that s is the middle of (γ, ζ) without rounding: 1, then 0.
    const symmetric: HardConcrete = { tau: 1, gamma: -1, zeta: 3 }
    expect(only(sampleGate(symmetric)(one(0), one(0.5)))).toBe(1)
    expect(only(sampleGateVjp(symmetric)(one(0), one(0.5), one(1)))).toBe(0)
    const shut: HardConcrete = { tau: 1, gamma: -3, zeta: 3 }
    expect(only(sampleGate(shut)(one(0), one(0.5)))).toBe(0)
    expect(only(sampleGateVjp(shut)(one(0), one(0.5), one(1)))).toBe(0)
  })

  it('are open with probability 0.9167 and fully open with probability 0.0833 at log θ = 0', () => {
    assertClose(probabilityNonZero(paper)(one(0)).data, [11 / 12], { relative: 1e-14 })
    const g = sampled(paper, 0)
    assertClose([g.data.filter((x) => x === 1).length / draws], [1 / 12], { relative: 0, absolute: 0.003, name: 'P(g = 1)' })
  })

  it.each([
    [-3, 1],
    [0, 1],
    [2, 1],
    [0, 0.5],
    [-1, 2],
  ])('are open with the probability of equation (8): log θ = %d, τ = %d', (logTheta, tau) => {
    const settings = { ...paper, tau }
    const frequency = sampled(settings, logTheta).data.filter((x) => x > 0).length / draws
    // Four standard deviations of a frequency are at most 4 · 0.5/√200,000 = 0.0045.
    assertClose(probabilityNonZero(settings)(one(logTheta)).data, [frequency], { relative: 0, absolute: 0.0045, name: 'P(g > 0)' })
  })

  it('have an open deterministic gate exactly when P(g > 0) > ½, at τ = 1', () => {
    fc.assert(
      fc.property(number(-6, 6), (logTheta) => {
        const open = only(deterministicGate(paper)(one(logTheta))) > 0
        expect(open).toBe(logTheta > -Math.log(11))
        expect(open).toBe(only(probabilityNonZero(paper)(one(logTheta))) > 0.5)
      }),
      options,
    )
  })

  it('have an expected number, equation (8), that grows with each log θ and is between 0 and r', () => {
    fc.assert(
      fc.property(hardConcrete, tensorOf([4], -20, 20), number(0.01, 3), (settings, logTheta, rise) => {
        const now = expectedL0(settings)(logTheta)
        expect(now >= 0 && now <= 4).toBe(true)
        expect(
          expectedL0(settings)(
            tensor(
              [4],
              logTheta.data.map((x, j) => (j === 2 ? x + rise : x)),
            ),
          ),
        ).toBeGreaterThanOrEqual(now)
      }),
      options,
    )
  })

  it('have an expected number whose gradient is that of its finite differences', () => {
    fc.assert(
      fc.property(hardConcrete, tensorOf([3], -4, 4), tensorOf([3]), number(), (settings, logTheta, pBar, l0Bar) => {
        assertVjp({
          name: 'probabilityNonZero',
          inputs: { logTheta },
          yBar: pBar,
          forward: (inputs) => probabilityNonZero(settings)(inputs['logTheta']!),
          vjp: (inputs, yBar) => ({ logTheta: probabilityNonZeroVjp(settings)(inputs['logTheta']!, yBar) }),
        })
        assertVjp({
          name: 'expectedL0',
          inputs: { logTheta },
          yBar: one(l0Bar),
          forward: (inputs) => one(expectedL0(settings)(inputs['logTheta']!)),
          vjp: (inputs, yBar) => ({ logTheta: expectedL0Vjp(settings)(inputs['logTheta']!, yBar.data[0]!) }),
        })
      }),
      { ...options, numRuns: 50 },
    )
  })
})
