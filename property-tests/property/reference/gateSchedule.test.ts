/** The gate window of Algorithm 1 in whole steps. */
import { describe, expect, it } from 'vitest'
import { gateSteps } from '../../../reference/index.js'

describe('the gate window', () => {
  it('has 30 of 100 steps at the defaults, from step 20 on', () =>
    expect(gateSteps({ gateStart: 0.2, gateEnd: 0.5, steps: 100 })).toEqual({ start: 20, end: 50 }))

  it('begins and ends at the first step at or after T_start and T_end, despite rounded products', () => {
    expect(0.07 * 100).toBeGreaterThan(7)
    expect(gateSteps({ gateStart: 0.07, gateEnd: 0.7, steps: 100 })).toEqual({ start: 7, end: 70 })
    expect(gateSteps({ gateStart: 0, gateEnd: 0.7, steps: 10 })).toEqual({ start: 0, end: 7 })
    expect(gateSteps({ gateStart: 0.2, gateEnd: 1, steps: 7 })).toEqual({ start: 2, end: 7 })
  })

  // The user's fraction is a pair of whole numbers: 0.07 is 7 / 100, although float64 rounds it.
  const hundredths = Array.from({ length: 101 }, (_, i) => [i, 100] as const)
  const others = [
    [1, 3],
    [2, 3],
    [1, 7],
    [5, 9],
    [1, 1000],
    [999, 1000],
    [1, 1001],
  ] as const
  it('is the set of t with T_start ≤ t < T_end in exact arithmetic, in runs of up to 3,000 steps', () => {
    const wrong = [...hundredths, ...others].flatMap(([p, q]) =>
      Array.from({ length: 3000 }, (_, i) => i + 1).filter((steps) => {
        // The least t with p · steps ≤ t · q.
        const exact = (BigInt(p) * BigInt(steps) + BigInt(q) - 1n) / BigInt(q)
        const asStart = gateSteps({ gateStart: p / q, gateEnd: 1, steps })
        const asEnd = gateSteps({ gateStart: 0, gateEnd: p / q, steps })
        return BigInt(asStart.start) !== exact || asStart.end !== steps || BigInt(asEnd.end) !== exact || asEnd.start !== 0
      }),
    )
    expect(wrong).toEqual([])
  })
})
