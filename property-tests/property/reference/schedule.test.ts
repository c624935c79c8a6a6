import { describe, expect, it } from 'vitest'
import { gateSteps, linearSchedule } from '../../../reference/index.js'
import { assertClose } from '../../support/assertClose.js'

describe('the learning rate', () => {
  it('rises in a line from 0 at the first step to its peak, and falls in a line to what is left of it at the last', () => {
    const rate = linearSchedule({ peak: 2, steps: 10, warmup: 0.4 })
    const rates = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(rate)
    assertClose(rates, [0, 1 / 2, 1, 3 / 2, 2, 5 / 3, 4 / 3, 1, 2 / 3, 1 / 3], { relative: 1e-15, name: 'η_p' })
    expect([rate(10), rate(11)]).toEqual([0, 0])
  })

  it('starts at its peak without warm-up', () =>
    assertClose([0, 1, 2, 3].map(linearSchedule({ peak: 2, steps: 4, warmup: 0 })), [2, 1.5, 1, 0.5], { relative: 1e-15 }))

  it('warms up for the number of steps that the fraction comes to, rounded up', () => {
    const rate = linearSchedule({ peak: 1, steps: 25, warmup: 0.06 }) // 1.5 steps: 2
    assertClose([0, 1, 2, 3].map(rate), [0, 1 / 2, 1, 22 / 23], { relative: 1e-15 })
  })
})

describe('the gate window', () => {
  it('holds 30 of 100 steps at the defaults, from the twentieth on', () =>
    expect(gateSteps({ gateStart: 0.2, gateEnd: 0.5, steps: 100 })).toEqual({ start: 20, end: 50 }))

  it('begins and ends at the first step that is not before T_start and T_end, though products are rounded', () => {
    expect(0.07 * 100).toBeGreaterThan(7)
    expect(gateSteps({ gateStart: 0.07, gateEnd: 0.7, steps: 100 })).toEqual({ start: 7, end: 70 })
    expect(gateSteps({ gateStart: 0, gateEnd: 0.7, steps: 10 })).toEqual({ start: 0, end: 7 })
    expect(gateSteps({ gateStart: 0.2, gateEnd: 1, steps: 7 })).toEqual({ start: 2, end: 7 })
  })

  // A fraction is the pair of whole numbers that its user means: 0.07 is 7 / 100, whatever float64 makes of it.
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
  it('is, in runs of every length to 3,000 steps, the set of t with T_start ≤ t < T_end in exact arithmetic', () => {
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
