/** The drift check of a long run: medians of each hundred steps, which change with a drift and not with a few slow steps. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { flatness, type StepSample } from '../../../evaluation/benchmark/driftCheck.js'
import { SEED } from '../../support/seed.js'

const run = (steps: number, at: (step: number) => StepSample): ReadonlyArray<StepSample> =>
  Array.from({ length: steps }, (_, i) => at(i + 1))

describe(`the drift check of a long run (seed ${SEED})`, () => {
  it('reports ratios of 1 despite a slow start and slow steps, one in three', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 300, max: 1_200 }),
        fc.integer({ min: 1, max: 1e6 }),
        fc.integer({ min: 1, max: 1e9 }),
        (steps, rate, bytes) => {
          const samples = run(steps, (step) => ({
            tokensPerSecond: step % 3 === 0 || step <= 100 ? rate / 10 : rate,
            residentBytes: step <= 100 ? bytes * step : bytes,
          }))
          expect(flatness(samples)).toEqual({
            tokensPerSecond: { early: rate, late: rate, ratio: 1 },
            residentBytes: { early: bytes, late: bytes, ratio: 1 },
            hundreds: Array.from({ length: Math.floor(steps / 100) }, (_, i) => (i === 0 ? rate / 10 : rate)),
          })
        },
      ),
      { seed: SEED, numRuns: 50 },
    )
  })

  it('reports a memory leak and falling speed as the ratio of the last hundred steps to steps 101 to 200', () => {
    fc.assert(
      fc.property(fc.integer({ min: 300, max: 2_000 }), (steps) => {
        const { tokensPerSecond, residentBytes, hundreds } = flatness(
          run(steps, (step) => ({ tokensPerSecond: -step, residentBytes: step })),
        )
        expect(residentBytes).toEqual({ early: 150.5, late: steps - 49.5, ratio: (steps - 49.5) / 150.5 })
        expect(tokensPerSecond.late).toBe(49.5 - steps)
        expect(hundreds).toEqual(Array.from({ length: Math.floor(steps / 100) }, (_, i) => -(100 * i + 50.5)))
      }),
      { seed: SEED, numRuns: 50 },
    )
  })

  it('refuses a run of fewer than 300 steps', () => {
    expect(() => flatness(run(299, () => ({ tokensPerSecond: 1, residentBytes: 1 })))).toThrow('expected at least 300 steps, got 299')
  })
})
