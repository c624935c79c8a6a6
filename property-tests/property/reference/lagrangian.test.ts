import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  defaultSettings,
  density,
  densityVjp,
  expectedL0,
  filled,
  multiplierAscent,
  named,
  parameterCount,
  penalty,
  penaltySlope,
  project,
  sum,
  tensor,
  tripletCost,
  violation,
  type Adapters,
} from '../../../reference/index.js'
import { length, lowRankShape } from '../../support/arbitraries/shapes.js'
import { hardConcrete } from '../../support/arbitraries/settings.js'
import { number, tensorOf } from '../../support/arbitraries/tensors.js'
import { assertClose } from '../../support/assertClose.js'
import { assertVjp, slope } from '../../support/finiteDifference.js'
import { SEED } from '../../support/seed.js'

const options = { seed: SEED, numRuns: 100 }
const adapter = lowRankShape.chain(({ d, k, r }) =>
  tensorOf([r], -4, 4).map((logTheta) => ({ A: filled([r, k], 0), B: filled([d, r], 0), logTheta })),
)
const adapters: fc.Arbitrary<Adapters> = fc
  .array(adapter, { minLength: 1, maxLength: 4 })
  .map((list) => Object.fromEntries(list.map((one, i) => [`module${i}`, one])))
const withLocations =
  (value: number) =>
  (all: Adapters): Adapters =>
    Object.fromEntries(Object.entries(all).map(([name, one]) => [name, { ...one, logTheta: filled(one.logTheta.shape, value) }]))

describe(`the density constraint (seed ${SEED})`, () => {
  it("starts at 11/12 for all shapes: the paper's figure shows 0.92, equation (11)", () => {
    fc.assert(
      fc.property(adapters, (all) =>
        assertClose([density(defaultSettings)(withLocations(0)(all))], [11 / 12], { relative: 1e-13, name: 'C' }),
      ),
      options,
    )
  })

  it("weights each module's gates by the cost of its triplets, equation (11)", () => {
    const all: Adapters = {
      small: { A: filled([1, 1], 0), B: filled([2, 1], 0), logTheta: filled([1], 100) }, // open, costs 3
      large: { A: filled([2, 4], 0), B: filled([5, 2], 0), logTheta: filled([2], -100) }, // shut, costs 2 · 9
    }
    expect(tripletCost(all['large']!)).toBe(9)
    expect(parameterCount(all)).toBe(21)
    assertClose([density(defaultSettings)(all)], [3 / 21], { relative: 1e-12, name: 'C' })
  })

  it('is the expected fraction of open gates when all modules cost the same', () => {
    fc.assert(
      fc.property(hardConcrete, tensorOf([3], -4, 4), length(), length(), (settings, logTheta, d, k) => {
        const one = { A: filled([3, k], 0), B: filled([d, 3], 0), logTheta }
        assertClose([density(settings)({ a: one, b: one })], [expectedL0(settings)(logTheta) / 3], { relative: 1e-13, name: 'C' })
      }),
      options,
    )
  })

  it('is between 0 and 1, and 0 without adapters', () => {
    fc.assert(
      fc.property(hardConcrete, adapters, (settings, all) => {
        const now = density(settings)(all)
        expect(now >= 0 && now <= 1).toBe(true)
      }),
      options,
    )
    expect(density(defaultSettings)({})).toBe(0)
  })

  it('has the gradient of its finite differences: the L0 term trains Θ', () => {
    fc.assert(
      fc.property(hardConcrete, adapters, number(0.5, 2), (settings, all, bar) => {
        const locations = Object.fromEntries(Object.entries(all).map(([name, { logTheta }]) => [name, logTheta]))
        const put = (changed: typeof locations): Adapters =>
          Object.fromEntries(Object.entries(all).map(([name, one]) => [name, { ...one, logTheta: named(changed, name) }]))
        assertVjp({
          name: 'density',
          inputs: locations,
          yBar: tensor([1], [bar]),
          forward: (inputs) => tensor([1], [density(settings)(put(inputs))]),
          vjp: (inputs, yBar) => densityVjp(settings)(put(inputs), yBar.data[0]!),
        })
        Object.values(densityVjp(settings)(all, bar)).forEach((gradient) => expect(sum(gradient)).toBeGreaterThan(0))
      }),
      { ...options, numRuns: 40 },
    )
  })
})

describe(`the multiplier (seed ${SEED})`, () => {
  const share = fc.double({ min: 0, max: 1, noNaN: true })
  const multiplier = number(0, 100)

  it('has the penalty λ (C − b)² of equation (12), with its slope in C and in λ', () => {
    fc.assert(
      fc.property(multiplier, share, share, (lambda, now, target) => {
        assertClose([penaltySlope(lambda, now, target)], [slope((step) => penalty(lambda, now + step, target))], {
          relative: 1e-8,
          absolute: 1e-9,
        })
        assertClose([violation(now, target)], [slope((step) => penalty(lambda + step, now, target))], { relative: 1e-8, absolute: 1e-9 })
      }),
      options,
    )
  })

  it('has a gradient that is never negative, so λ never falls and its projection has no effect', () => {
    fc.assert(
      fc.property(multiplier, share, share, share, (lambda, now, target, rate) => {
        expect(violation(now, target)).toBeGreaterThanOrEqual(0)
        expect(multiplierAscent(rate)(lambda, violation(now, target))).toBeGreaterThanOrEqual(lambda)
      }),
      options,
    )
  })

  it('rises by η (C − b)² while the constraint is violated, and stays when it holds', () => {
    expect(multiplierAscent(0.5)(1, violation(0.9, 0.5))).toBeCloseTo(1.08, 14)
    expect(multiplierAscent(0.5)(1, violation(0.5, 0.5))).toBe(1)
  })

  it('is projected to 0 from below', () => expect([project(-1), project(2)]).toEqual([0, 2]))
})
