/** Rounding to float16, and linear layers on a matrix in it: against a library's rounding, closed forms, and the cases in which nothing is lost. */
import { f16round } from '@petamoriken/float16'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { halfLinear, roundToHalf } from '../../../reference/layers/halfLinear.js'
import { linear, linearInputVjp } from '../../../reference/layers/linear.js'
import { scaleBy, tensor, type Tensor } from '../../../reference/tensor/tensor.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

const options = { seed: SEED, numRuns: 200 }
const sides = fc.record({ n: fc.integer({ min: 1, max: 6 }), k: fc.integer({ min: 1, max: 9 }), p: fc.integer({ min: 1, max: 6 }) })
const numbers = (shape: readonly [number, number]): fc.Arbitrary<Tensor> =>
  evenlyMany(-3, 3)(shape[0] * shape[1]).map((data) => tensor(shape, data))
/** Eighths up to 2: float16 holds them, their halves and their quarters. */
const eighths = (shape: readonly [number, number]): fc.Arbitrary<Tensor> =>
  fc.array(fc.integer({ min: -15, max: 15 }), { minLength: shape[0] * shape[1], maxLength: shape[0] * shape[1] }).map((data) =>
    tensor(
      shape,
      data.map((x, i) => (i % shape[1] === 0 ? 2 : x / 8)),
    ),
  )

describe(`rounding to float16 (seed ${SEED})`, () => {
  it("equals a library's, for numbers of every size", () => {
    const every = fc.tuple(fc.double({ min: -2, max: 2, noNaN: true }), fc.integer({ min: -30, max: 18 })).map(([x, e]) => x * 2 ** e)
    fc.assert(
      fc.property(every, (x) => roundToHalf(x) === f16round(x)),
      { seed: SEED, numRuns: 5_000 },
    )
  })

  it.each([
    [1 + 2 ** -11, 1],
    [1 + 3 * 2 ** -11, 1 + 2 ** -9],
    [65519, 65504],
    [65520, Infinity],
    [-65520, -Infinity],
    [2 ** -25, 0],
    [3 * 2 ** -25, 2 ** -23],
    [0, 0],
  ])('takes %d to %d', (x, half) => {
    expect(roundToHalf(x) === half).toBe(true)
  })
})

describe('a linear layer on a matrix in float16', () => {
  it('equals the float64 layer if float16 represents all numbers, forward and backward', () => {
    fc.assert(
      fc.property(
        sides.chain(({ n, k, p }) => fc.record({ x: eighths([n, k]), W: eighths([p, k]), yBar: eighths([n, p]) })),
        ({ x, W, yBar }) => {
          assertClose(halfLinear.value('', x, W).data, linear(x, W).data, { relative: 1e-12 })
          assertClose(halfLinear.inputVjp('', W, yBar).data, linearInputVjp(W, yBar).data, { relative: 1e-12 })
        },
      ),
      options,
    )
  })

  it('otherwise has an error, of at most two roundings of each term', () => {
    const errors: number[] = []
    fc.assert(
      fc.property(
        sides.chain(({ n, k, p }) => fc.record({ x: numbers([n, k]), W: numbers([p, k]), bias: numbers([1, p]) })),
        ({ x, W, bias }) => {
          const [, k = 1] = x.shape
          const b = tensor([bias.data.length], bias.data)
          const [actual, exact] = [halfLinear.value('', x, W, b), linear(x, W, b)]
          actual.data.forEach((y, i) => errors.push(Math.abs(y - (exact.data[i] ?? NaN)) / k))
          expect(Math.max(...errors)).toBeLessThan(9 * 2 ** -10)
        },
      ),
      options,
    )
    expect(Math.max(...errors)).toBeGreaterThan(2 ** -14)
  })

  it('is as exact for rows 10³⁰ times larger, beyond float16’s 65504, and maps a row of zeros to zeros', () => {
    fc.assert(
      fc.property(
        sides.chain(({ n, k, p }) => fc.record({ x: numbers([n, k]), W: numbers([p, k]) })),
        ({ x, W }) => {
          const once = halfLinear.value('', x, W)
          for (const power of [2 ** 100, 2 ** -100])
            assertClose(scaleBy(1 / power)(halfLinear.value('', scaleBy(power)(x), W)).data, once.data, { relative: 1e-12 })
        },
      ),
      options,
    )
    expect([...halfLinear.value('', tensor([1, 2], [0, 0]), tensor([1, 2], [3, 4])).data]).toEqual([0])
  })
})
