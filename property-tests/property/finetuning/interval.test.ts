/** Wilson's interval: the shares from which the seen one is 1.96 standard errors away. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { shareInWords, wilsonInterval } from '../../../finetuning/metrics/confidence.js'

describe("Wilson's interval", () => {
  it('has ends p with |s / n − p| = z √(p (1 − p) / n), its definition', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), fc.double({ min: 0, max: 1, noNaN: true }), (rows, part) => {
        const successes = Math.round(part * rows)
        for (const end of wilsonInterval(successes, rows)) {
          const distance = Math.abs(successes / rows - end)
          expect(distance).toBeCloseTo(1.959963984540054 * Math.sqrt((end * (1 - end)) / rows), 7)
        }
        const [from, to] = wilsonInterval(successes, rows)
        expect(from - 1e-12 <= successes / rows && successes / rows <= to + 1e-12).toBe(true)
      }),
    )
  })

  it('is printed with the rows, and not for a share that is no count of them', () => {
    expect(shareInWords(0.85, 20)).toBe('17 of 20 rows (95 % interval: 64 to 95 %)') // statsmodels: 0.6396, 0.9476
    expect(shareInWords(1, 2)).toBe('2 of 2 rows (95 % interval: 34 to 100 %)')
    expect([shareInWords(0.123, 20), shareInWords(1, 0)]).toEqual([null, null])
  })
})
