/** Rounding to the levels of a row, and linear layers on a matrix in int8: closed forms, and the cases in which nothing is lost. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  dequantize,
  largestLevel,
  quantizedLinear,
  quantizedLinearInputVjp,
  quantizeRows,
  roundHalfEven,
  roundRows,
  type Quantized,
} from '../../../reference/layers/quantizedLinear.js'
import { linear, linearInputVjp } from '../../../reference/layers/linear.js'
import { filled, scaleBy, tensor, type Tensor } from '../../../reference/tensor/tensor.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

const options = { seed: SEED, numRuns: 100 }
const sides = fc.record({ n: fc.integer({ min: 1, max: 6 }), m: fc.integer({ min: 1, max: 9 }), p: fc.integer({ min: 1, max: 6 }) })
const numbers = (shape: readonly [number, number]): fc.Arbitrary<Tensor> =>
  evenlyMany(-3, 3)(shape[0] * shape[1]).map((data) => tensor(shape, data))
const rowOf = (x: Tensor, row: number): readonly number[] => {
  const [, m = 0] = x.shape
  return Array.from(x.data.subarray(row * m, (row + 1) * m))
}
/** Whole numbers with 127 in each row: they equal their levels, at a scale of 1. */
const levelsOnly = (shape: readonly [number, number]): fc.Arbitrary<Tensor> =>
  fc
    .array(fc.integer({ min: -largestLevel, max: largestLevel }), { minLength: shape[0] * shape[1], maxLength: shape[0] * shape[1] })
    .map((data) =>
      tensor(
        shape,
        data.map((x, i) => (i % shape[1] === 0 ? largestLevel : x)),
      ),
    )

describe(`rounding to levels (seed ${SEED})`, () => {
  it.each([
    [0.5, 0],
    [1.5, 2],
    [2.5, 2],
    [-0.5, -0],
    [-1.5, -2],
    [0.49999999999999994, 0],
    [126.5, 126],
    [-3.2, -3],
    [7, 7],
  ])('takes %d to %d', (x, level) => {
    expect(roundHalfEven(x) === level).toBe(true)
  })

  it('gives integer levels with a largest magnitude of 127 in each row, at most half a scale from the numbers', () => {
    fc.assert(
      fc.property(
        sides.chain(({ n, m }) => numbers([n, m])),
        (x) => {
          const { levels, scales } = quantizeRows(x)
          const rounded = dequantize({ levels, scales })
          scales.data.forEach((scale, row) => {
            const [ofRow, exact] = [rowOf(levels, row), rowOf(x, row)]
            expect(ofRow.every(Number.isInteger)).toBe(true)
            expect(Math.max(...ofRow.map(Math.abs))).toBe(exact.every((value) => value === 0) ? 0 : largestLevel)
            rowOf(rounded, row).forEach((value, i) =>
              expect(Math.abs(value - (exact[i] ?? NaN))).toBeLessThanOrEqual(scale / 2 + 1e-15 * Math.abs(value)),
            )
          })
        },
      ),
      options,
    )
  })

  it('is the same of −x with signs changed, and of x times a power of two', () => {
    fc.assert(
      fc.property(
        sides.chain(({ n, m }) => numbers([n, m])),
        (x) => {
          const { levels } = quantizeRows(x)
          expect([...quantizeRows(scaleBy(-1)(x)).levels.data].map((level) => 0 - level)).toEqual(
            [...levels.data].map((level) => 0 + level),
          )
          expect(quantizeRows(scaleBy(8)(x)).levels).toEqual(levels)
        },
      ),
      options,
    )
  })

  it('changes nothing the second time, and keeps rows of zeros', () => {
    fc.assert(
      fc.property(
        sides.chain(({ n, m }) => numbers([n, m])),
        (x) => {
          const once = roundRows(x)
          assertClose(roundRows(once).data, once.data, { relative: 1e-14 })
        },
      ),
      options,
    )
    expect([...roundRows(filled([2, 3], 0)).data]).toEqual([0, 0, 0, 0, 0, 0])
  })
})

describe('a linear layer on int8', () => {
  /** W with levels as they are and scales that are powers of two, x and ȳ whose rows are levels: nothing is rounded. */
  const exact = sides.chain(({ n, m, p }) =>
    fc.record({
      x: levelsOnly([n, m]),
      yBar: levelsOnly([n, p]),
      bias: fc.array(fc.integer({ min: -9, max: 9 }), { minLength: p, maxLength: p }).map((data) => tensor([p], data)),
      weight: fc.record({
        levels: levelsOnly([p, m]),
        scale: fc.integer({ min: -6, max: 6 }).map((exponent) => filled([p], 2 ** exponent)),
      }),
    }),
  )

  it('is the layer with diag(s) Q if nothing has to be rounded, forward and backward', () => {
    fc.assert(
      fc.property(exact, ({ x, yBar, bias, weight: { levels, scale } }) => {
        const weight: Quantized = { levels, scales: scale }
        const W = dequantize(weight)
        expect(quantizedLinear(x, weight, bias)).toEqual(linear(x, W, bias))
        expect(quantizedLinearInputVjp(weight, yBar)).toEqual(linearInputVjp(W, yBar))
      }),
      options,
    )
  })

  it('is that layer of the rounded input, and its gradient that of the rounded ȳ ⊙ s, for any input', () => {
    fc.assert(
      fc.property(
        sides.chain(({ n, m, p }) => fc.record({ x: numbers([n, m]), yBar: numbers([n, p]), W: numbers([p, m]) })),
        ({ x, yBar, W }) => {
          const weight = quantizeRows(W)
          const [, p = 0] = yBar.shape
          const bias = filled([p], 0.25)
          const close = (actual: Tensor, expected: Tensor): void =>
            assertClose(actual.data, expected.data, { relative: 1e-12, absolute: 1e-12 })
          close(quantizedLinear(x, weight, bias), linear(roundRows(x), dequantize(weight), bias))
          const weighed = tensor(
            yBar.shape,
            yBar.data.map((value, i) => value * (weight.scales.data[i % p] ?? NaN)),
          )
          close(quantizedLinearInputVjp(weight, yBar), linearInputVjp(weight.levels, roundRows(weighed)))
        },
      ),
      options,
    )
  })
})
