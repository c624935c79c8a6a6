/** Rounding to four bits in the reference: matrices that it keeps exactly, and no better levels among all that a block may have. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { int4Linear, isFourBits, quantizeFourBits } from '../../../reference/layers/fourBitLinear.js'
import { dequantize, quantizedLinear, quantizedLinearInputVjp } from '../../../reference/layers/quantizedLinear.js'
import { tensor } from '../../../reference/tensor/tensor.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

/** A block of levels kq that reaches 7k. */
const exactBlock = (k: fc.Arbitrary<number>): fc.Arbitrary<ReadonlyArray<number>> =>
  fc
    .tuple(k, fc.array(fc.integer({ min: -7, max: 7 }), { minLength: 31, maxLength: 31 }))
    .map(([scale, q]) => [scale * 7, ...q.map((x) => x * scale + 0)])

describe(`rounding to four bits (seed ${SEED})`, () => {
  it('keeps rows whose blocks are kq of whole numbers, if one block has k = 18', () =>
    fc.assert(
      fc.property(exactBlock(fc.constant(18)), exactBlock(fc.integer({ min: 1, max: 18 })), (first, second) => {
        const { levels, scales } = quantizeFourBits(tensor([1, 64], [...first, ...second]))
        expect([...scales.data]).toEqual([1])
        expect([...levels.data].map((level) => level + 0)).toEqual([...first, ...second])
      }),
      { seed: SEED, numRuns: 100 },
    ))

  it('finds levels of least squared error, of all k that reach three quarters of a block or all of it', () =>
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
          const errorOf = (of: ReadonlyArray<number>): number => block.reduce((sum, w, i) => sum + (w - scale * of[i]!) ** 2, 0)
          const own = [...levels.data.slice(start, end)]
          expect(isFourBits(own)).toBe(true)
          const reach = Math.max(...block.map(Math.abs)) / scale / 7
          for (let k = Math.ceil(0.75 * reach); k <= Math.min(18, Math.ceil(reach)); k++) {
            const other = block.map((w) => k * Math.max(-7, Math.min(7, Math.round(w / scale / k))))
            expect(errorOf(own)).toBeLessThanOrEqual(errorOf(other) * (1 + 1e-9) + 1e-12)
          }
        }
      }),
      { seed: SEED, numRuns: 60 },
    ))

  it('keeps rows of zeros, and recognizes blocks that have no common k', () => {
    expect([...quantizeFourBits(tensor([2, 2], [0, 0, 7, -3])).levels.data]).toEqual([0, 0, 126, -54])
    expect(isFourBits([126, 18, -36])).toBe(true)
    expect(isFourBits([5, 7])).toBe(true)
    expect(isFourBits([126, 17])).toBe(false)
    expect(isFourBits([8, 7])).toBe(false)
  })

  it('is that of the matrix alone: a layer in int4 is one in int8 on its levels, forward and backward', () => {
    const [x, W, yBar] = [tensor([2, 3], [1, -2, 0.5, 3, 0, 1]), tensor([2, 3], [1, 2, -3, 0.5, 4, 1]), tensor([2, 2], [1, -1, 0.25, 2])]
    const rounded = quantizeFourBits(W)
    expect(int4Linear().value('m', x, W).data).toEqual(quantizedLinear(x, rounded).data)
    expect(int4Linear().inputVjp('m', W, yBar).data).toEqual(quantizedLinearInputVjp(rounded, yBar).data)
    assertClose(dequantize(rounded).data, W.data, { relative: 0.08 })
  })
})
