/** Where training starts: the laws of A, B and a new head. */
import { describe, expect, it } from 'vitest'
import { initialAdapterTensor, initialHeadTensor } from '../../accelerated/methods/initialisation.js'
import { parameterLayout } from '../../accelerated/training/parameterVector.js'
import { SEED } from '../support/seed.js'

const [k, r, d] = [50, 40, 30]
const layout = parameterLayout([
  { name: 'm.A', shape: [r, k], group: 'decayed' },
  { name: 'm.B', shape: [d, r], group: 'decayed' },
  { name: 'other.A', shape: [r, k], group: 'decayed' },
  { name: 'w', shape: [60, 50], group: 'decayed' },
  { name: 'b', shape: [60], group: 'undecayed' },
])
const entry = (name: string) => layout.entries.find((e) => e.name === name) ?? expect.unreachable(name)
const mean = (x: ArrayLike<number>): number => Array.from(x).reduce((sum, value) => sum + value, 0) / x.length
const deviation = (x: ArrayLike<number>): number => Math.sqrt(mean(Array.from(x, (value) => value * value)))

describe(`initialisation (seed ${SEED})`, () => {
  const A = initialAdapterTensor(SEED, 'kaiming', entry('m.A'))

  it('draws A from U(−1/√k, 1/√k): within it, filling it, with mean 0 and its deviation, 1/√(3k)', () => {
    const bound = 1 / Math.sqrt(k)
    expect(A.every((x) => Math.abs(x) <= bound)).toBe(true)
    expect(Math.max(...A)).toBeGreaterThan(0.99 * bound)
    expect(Math.min(...A)).toBeLessThan(-0.99 * bound)
    expect(Math.abs(mean(A))).toBeLessThan((4 * bound) / Math.sqrt(3 * A.length))
    expect(deviation(A) / (bound / Math.sqrt(3))).toBeCloseTo(1, 1)
  })

  it('draws A from N(0, 1/r²) when asked, and starts B at 0 either way', () => {
    expect(deviation(initialAdapterTensor(SEED, 'gaussian', entry('m.A'))) * r).toBeCloseTo(1, 1)
    ;(['kaiming', 'gaussian'] as const).forEach((kind) =>
      expect(initialAdapterTensor(SEED, kind, entry('m.B'))).toEqual(new Float64Array(d * r)),
    )
  })

  it('draws a new head from N(0, 0.02²) with biases of 0', () => {
    expect(deviation(initialHeadTensor(SEED, entry('w'))) / 0.02).toBeCloseTo(1, 1)
    expect(initialHeadTensor(SEED, entry('b'))).toEqual(new Float64Array(60))
  })

  it('draws the same numbers for the same seed, others for another, and others for another tensor', () => {
    expect(initialAdapterTensor(SEED, 'kaiming', entry('m.A'))).toEqual(A)
    expect(initialAdapterTensor(SEED + 1, 'kaiming', entry('m.A'))).not.toEqual(A)
    expect(initialAdapterTensor(SEED, 'kaiming', entry('other.A'))).not.toEqual(A)
  })
})
