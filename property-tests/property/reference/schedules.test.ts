/** Learning-rate schedules of the reference, by the shapes that their names promise. */
import { describe, expect, it } from 'vitest'
import {
  constantSchedule,
  constantScheduleWithWarmup,
  cosineSchedule,
  cosineScheduleWithRestarts,
  linearSchedule,
  polynomialSchedule,
  countWarmupSteps,
} from '../../../reference/index.js'
import { assertClose } from '../../support/assertClose.js'

const ratesOf = (rate: (step: number) => number, steps: number): readonly number[] => Array.from({ length: steps }, (_, t) => rate(t))
const exact = { relative: 1e-14, name: 'η_p' }

describe('the learning rate', () => {
  it('the linear schedule rises in a line from 0 to the peak, and falls in a line to 0', () => {
    const rate = linearSchedule({ peak: 2, steps: 10, warmupSteps: 4 })
    assertClose(ratesOf(rate, 10), [0, 1 / 2, 1, 3 / 2, 2, 5 / 3, 4 / 3, 1, 2 / 3, 1 / 3], exact)
    expect([rate(10), rate(11)]).toEqual([0, 0])
  })

  it('starts at the peak without warm-up', () =>
    assertClose(ratesOf(linearSchedule({ peak: 2, steps: 4, warmupSteps: 0 }), 4), [2, 1.5, 1, 0.5], exact))

  it('warms up for a fraction of the steps, rounded up', () => {
    expect(countWarmupSteps(0.06, 25)).toBe(2) // 1.5 steps
    expect([countWarmupSteps(0, 25), countWarmupSteps(1, 25)]).toEqual([0, 25])
  })

  it('the cosine schedule falls slowly, then fast, then slowly, and is half the peak in the middle', () =>
    assertClose(
      ratesOf(cosineSchedule({ peak: 2, steps: 8, warmupSteps: 2 }), 9),
      [0, 1, 2, 1 + Math.sqrt(3) / 2, 1.5, 1, 0.5, 1 - Math.sqrt(3) / 2, 0],
      { ...exact, absolute: 1e-15 },
    ))

  it('a cosine with restarts returns to the peak after each cycle', () =>
    assertClose(
      ratesOf(cosineScheduleWithRestarts({ peak: 2, steps: 8, warmupSteps: 0 }, 2), 9),
      [2, 1 + Math.SQRT1_2, 1, 1 - Math.SQRT1_2, 2, 1 + Math.SQRT1_2, 1, 1 - Math.SQRT1_2, 0],
      exact,
    ))

  it('a constant schedule stays at the peak, with or without warm-up', () => {
    expect(ratesOf(constantSchedule({ peak: 2 }), 3)).toEqual([2, 2, 2])
    expect(ratesOf(constantScheduleWithWarmup({ peak: 2, steps: 5, warmupSteps: 2 }), 5)).toEqual([0, 1, 2, 2, 2])
  })

  it('the polynomial schedule falls to its end, by a power of the remaining steps', () => {
    assertClose(ratesOf(polynomialSchedule({ peak: 2, steps: 4, warmupSteps: 0 }, 1, 2), 5), [2, 1 + 9 / 16, 1.25, 1 + 1 / 16, 1], exact)
    assertClose(ratesOf(polynomialSchedule({ peak: 2, steps: 4, warmupSteps: 0 }, 0), 4), [2, 1.5, 1, 0.5], exact)
  })
})
