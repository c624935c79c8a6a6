/** Learning-rate schedules: two implementations, on any settings. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { schedules, type ScheduleName } from '../../accelerated/schedules/index.js'
import { makeLearningRate } from '../../accelerated/training/learningRate.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { countWarmupSteps } from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { referenceSchedules } from '../support/referenceSchedules.js'
import { SEED } from '../support/seed.js'

const names = Object.keys(schedules) as readonly ScheduleName[]

const settings = fc.record({
  learningRate: fc.double({ min: 1e-5, max: 1, noNaN: true }),
  warmupRatio: fc.double({ min: 0, max: 1, noNaN: true }),
  warmupSteps: fc.option(fc.nat(60)),
  lrSchedulerNumCycles: fc.option(fc.constantFrom(0.25, 0.5, 1, 2, 3.5)),
  lrSchedulerPower: fc.double({ min: 0.5, max: 4, noNaN: true }),
  lrEnd: fc.constantFrom(0, 1e-7, 1e-6),
})

describe.each(names)('the schedule %s', (name) => {
  it(`has the same rates in training and in the reference (seed ${SEED})`, () =>
    fc.assert(
      fc.property(settings, fc.integer({ min: 1, max: 60 }), (given, steps) => {
        const rate = makeLearningRate(resolveSettings({ ...given, lrSchedulerType: name }), steps)
        const expected = referenceSchedules[name]({
          peak: given.learningRate,
          steps,
          warmupSteps: given.warmupSteps ?? countWarmupSteps(given.warmupRatio, steps),
          cycles: given.lrSchedulerNumCycles ?? undefined,
          power: given.lrSchedulerPower,
          end: given.lrEnd,
        })
        const all = Array.from({ length: steps }, (_, step) => step)
        // near a zero of a cosine, rounding is a share of the peak, not of the rate
        assertClose(all.map(rate), all.map(expected), { relative: 1e-12, absolute: 1e-14 * given.learningRate })
      }),
      { seed: SEED, numRuns: 300 },
    ))

  it('begins at 0 with warm-up steps, and at the peak without', () => {
    const first = (warmupSteps: number): number =>
      makeLearningRate(resolveSettings({ lrSchedulerType: name, learningRate: 0.5, warmupSteps }), 10)(0)
    expect(first(0)).toBe(0.5)
    expect(first(4)).toBe(name === 'constant' ? 0.5 : 0)
  })
})

it('steps of warm-up override the fraction', () => {
  const rate = makeLearningRate(resolveSettings({ learningRate: 1, warmupRatio: 0.5, warmupSteps: 2 }), 10)
  expect([rate(1), rate(2)]).toEqual([0.5, 1])
})

it('a polynomial end at or above the peak is refused', () => {
  const refused = { lrSchedulerType: 'polynomial', learningRate: 1e-3, lrEnd: 1e-3 } as const
  expect(() => resolveSettings(refused)).toThrow('lrEnd: expected less than learningRate 0.001, got 0.001')
  expect(() => resolveSettings({ ...refused, lrSchedulerType: 'linear' })).not.toThrow()
})
