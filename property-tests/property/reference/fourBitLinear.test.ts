/** Rounding to four bits in the reference: matrices that it keeps exactly, and no better levels among all that a block may have. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { int4Linear, isFourBits, quantizeFourBits, roundFrozen } from '../../../reference/layers/fourBitLinear.js'
import { dequantize, quantizedLinear, quantizedLinearInputVjp, quantizeRows } from '../../../reference/layers/quantizedLinear.js'
import { tensor } from '../../../reference/tensor/tensor.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

/** A block of levels kq that reaches −8k, for k of either sign. */
const exactBlock = (k: fc.Arbitrary<number>): fc.Arbitrary<readonly number[]> =>
  fc
    .tuple(k, fc.array(fc.integer({ min: -8, max: 7 }), { minLength: 31, maxLength: 31 }))
    .map(([scale, q]) => [scale * -8, ...q.map((x) => x * scale + 0)])

describe(`rounding to four bits (seed ${SEED})`, () => {
  it('keeps rows whose blocks are kq of whole numbers, if one block has k = ±15', () =>
    fc.assert(
      fc.property(
        exactBlock(fc.constantFrom(15, -15)),
        exactBlock(fc.integer({ min: -15, max: 15 }).filter((k) => k !== 0)),
        (first, second) => {
          const { levels, scales } = quantizeFourBits(tensor([1, 64], [...first, ...second]))
          expect([...scales.data]).toEqual([1])
          expect([...levels.data].map((level) => level + 0)).toEqual([...first, ...second])
        },
      ),
      { seed: SEED, numRuns: 100 },
    ))

  it('finds levels of least squared error, of all k of either sign that reach most of a block or all of it', () =>
    fc.assert(
      fc.property(evenlyMany(-3, 3)(70), (numbers) => {
        const W = tensor([1, 70], numbers)
        const { levels, scales } = quantizeFourBits(W)
        const scale = scales.data[0]!
        for (const [start, end] of [
          [0, 32],
          [32, 64],
          [64, 70],
        ] as const) {
          const block = [...W.data.slice(start, end)]
          const errorOf = (of: readonly number[]): number => block.reduce((sum, w, i) => sum + (w - scale * of[i]!) ** 2, 0)
          const own = [...levels.data.slice(start, end)]
          expect(isFourBits(own)).toBe(true)
          const largest = Math.max(...block.map(Math.abs)) / scale
          for (let size = Math.ceil((0.7 * largest) / 8); size <= Math.min(15, Math.ceil(largest / 7)); size++)
            for (const k of [size, -size]) {
              const other = block.map((w) => k * Math.max(-8, Math.min(7, Math.round(w / scale / k))))
              expect(errorOf(own)).toBeLessThanOrEqual(errorOf(other) * (1 + 1e-9) + 1e-12)
            }
        }
      }),
      { seed: SEED, numRuns: 60 },
    ))

  it('keeps rows of zeros, and recognizes blocks that have no common k', () => {
    expect([...quantizeFourBits(tensor([2, 2], [0, 0, 8, -3])).levels.data].map((level) => level + 0)).toEqual([0, 0, 120, -45])
    expect(isFourBits([120, 15, -30])).toBe(true) // k = −15
    expect(isFourBits([5, 7])).toBe(true)
    expect(isFourBits([8, -7])).toBe(true)
    expect(isFourBits([120, 17])).toBe(false)
    expect(isFourBits([8, -8])).toBe(true) // k = 2
    expect(isFourBits([8, -8, 1])).toBe(false)
  })

  it('is that of the matrix alone: a layer in int4 is one in int8 on its levels, forward and backward', () => {
    const [x, W, yBar] = [tensor([2, 2], [1, -2, 0.5, 3]), tensor([2, 2], [1, 2, -3, 0.5]), tensor([2, 2], [1, -1, 0.25, 2])]
    const rounded = quantizeFourBits(W)
    expect(int4Linear().value('m', x, W).data).toEqual(quantizedLinear(x, rounded).data)
    expect(int4Linear().inputVjp('m', W, yBar).data).toEqual(quantizedLinearInputVjp(rounded, yBar).data)
    assertClose(dequantize(rounded).data, W.data, { relative: 0.08 })
  })

  it('leaves eight bits to a matrix with fewer outputs than inputs', () => {
    const W = tensor([2, 3], [1, 2, -3, 0.5, 4, 1])
    const x = tensor([2, 3], [1, -2, 0.5, 3, 0, 1])
    expect(int4Linear().value('m', x, W).data).toEqual(quantizedLinear(x, quantizeRows(W)).data)
    assertClose(dequantize(roundFrozen(W)).data, W.data, { relative: 0.005 })
  })
})
