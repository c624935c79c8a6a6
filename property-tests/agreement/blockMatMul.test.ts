/**
 * Products with a matrix in blocks of int8, which generation uses: the runtime's against the reference. A value of x near the boundary between two
 * levels may fall on either side, since the runtime divides in float32; nothing else may differ.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { topologicalOrder } from '../../accelerated/graph/expression.js'
import { lower } from '../../accelerated/graph/lowering.js'
import { constant, gather, input, matMul, mul, split } from '../../accelerated/graph/operators.js'
import { blockDequantize, blockMatMul, blockSize } from '../../accelerated/graph/quantizedOperators.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { quantizedBlocks } from '../../accelerated/precisions/int8/quantize.js'
import { blockLinear, blockScales, roundBlocks } from '../../reference/layers/blockLinear.js'
import { tensor, type Tensor } from '../../reference/tensor/tensor.js'
import { evenlyMany } from '../support/arbitraries/graphNumbers.js'
import { assertClose } from '../support/assertClose.js'
import { evaluate, float32, resultOf } from '../support/runGraph.js'
import { SEED } from '../support/seed.js'

const matrix = (n: number, m: number): fc.Arbitrary<Tensor> =>
  evenlyMany(-2, 2)(n * m).map((data) => tensor([n, m], Float32Array.from(data)))

/** Widths with and without a last block that is shorter. */
const cases = fc
  .record({ n: fc.integer({ min: 1, max: 5 }), k: fc.integer({ min: 1, max: 100 }), p: fc.integer({ min: 1, max: 40 }) })
  .chain(({ n, k, p }) => fc.record({ x: matrix(n, k), W: matrix(p, k) }))

/** As the accelerated side stores it. */
const stored = (W: Tensor) => {
  const [p = 0, k = 0] = W.shape
  const { levels, scales } = quantizedBlocks(Float32Array.from(W.data), [p, k], blockSize)
  const blocks = Math.ceil(k / blockSize)
  return blockDequantize(constant(levels, [p, blocks, blockSize], 'uint8'), constant(scales, [p, blocks], 'float32'), k)
}

/** What one level of each doubtful value of a row is worth in an output. */
const slackOf = (x: Tensor, W: Tensor, row: number, column: number): number => {
  const [, k = 0] = x.shape
  const scales = blockScales(x, blockSize)
  return Array.from({ length: k }, (_, i) => i).reduce((slack, i) => {
    const [value, scale] = [x.data[row * k + i] ?? NaN, scales.data[row * k + i] ?? NaN]
    const place = scale === 0 ? 0 : Math.abs(value / scale)
    return Math.abs(place - Math.floor(place) - 0.5) < 1e-4 ? slack + scale * Math.abs(W.data[column * k + i] ?? NaN) : slack
  }, 0)
}

describe('a product with a matrix in blocks', () => {
  it('is that of the reference, but for values of x between two levels', () =>
    fc.assert(
      fc.asyncProperty(cases, async ({ x, W }) => {
        const [[n = 0, k = 0], [p = 0]] = [x.shape, W.shape]
        const y = matMul(input('x', [n, k], 'float32'), stored(W), { transposeB: true })
        const actual = resultOf(await evaluate({ y }, { x: float32(x.data, [n, k]) }), 'y')
        const expected = blockLinear(x, W, blockSize)
        const largest = Math.max(...expected.data.map(Math.abs), 1e-30)
        actual.forEach((value, i) => {
          const slack = slackOf(x, roundBlocks(W, blockSize), Math.floor(i / p), i % p)
          expect(Math.abs(value - (expected.data[i] ?? NaN))).toBeLessThanOrEqual(1e-5 * largest + 1.01 * slack)
        })
      }),
      { seed: SEED, numRuns: 80 },
    ))

  it('is one node of the runtime', () => {
    const y = matMul(input('x', ['rows', 64], 'float32'), stored(tensor([3, 64], new Float32Array(192).fill(1))), { transposeB: true })
    expect(topologicalOrder(Object.values(lower({ y }))).map(({ op }) => op)).toEqual(['Input', 'Constant', 'Constant', 'BlockMatMul'])
    expect(() => toOnnx({ y }, { fusedMatMul: false })).toThrow('expected a target with products in int8')
  })

  it('with the matrix the other way round is one in float32, on the rounded matrix', async () => {
    const W = fc.sample(matrix(4, 33), { seed: SEED, numRuns: 1 })[0]!
    const y = matMul(constant([1, -2, 0.5, 3], [1, 4], 'float32'), stored(W))
    const rounded = roundBlocks(W, blockSize).data
    const expected = Array.from({ length: 33 }, (_, i) =>
      [1, -2, 0.5, 3].reduce((sum, x, row) => sum + x * (rounded[row * 33 + i] ?? NaN), 0),
    )
    assertClose(resultOf(await evaluate({ y: mul(y, 1) }), 'y'), expected, { relative: 1e-6 })
  })

  it('of rows of zeros is zero', async () => {
    const y = matMul(input('x', [2, 33], 'float32'), stored(tensor([1, 33], new Float32Array(33).fill(1))), { transposeB: true })
    const x = Float32Array.from({ length: 66 }, (_, i) => (i < 33 ? 0 : 1))
    assertClose(resultOf(await evaluate({ y }, { x: float32(x, [2, 33]) }), 'y'), [0, 33], { relative: 1e-6 })
  })
})

describe('products of one x with several matrices in blocks', () => {
  /** x times each matrix, with a sum of the first and last products and a product of another x. */
  const several = fc
    .record({
      n: fc.integer({ min: 1, max: 5 }),
      k: fc.integer({ min: 1, max: 100 }),
      sizes: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 2, maxLength: 4 }),
    })
    .chain(({ n, k, sizes }) => fc.record({ x: matrix(n, k), matrices: fc.tuple(...sizes.map((p) => matrix(p, k))) }))

  it('are one node, and have the numbers of single products', () =>
    fc.assert(
      fc.asyncProperty(several, async ({ x, matrices }) => {
        const [n = 0, k = 0] = x.shape
        const rows = input('x', [n, k], 'float32')
        const product = (W: Tensor) => matMul(rows, stored(W), { transposeB: true })
        const outputs = Object.fromEntries(matrices.flatMap((W, i) => [[`y${i}`, product(W)] as const]))
        const used = { ...outputs, tripled: mul(outputs['y1'] ?? rows, 3) }
        const ops = topologicalOrder(Object.values(lower(used))).map(({ op }) => op)
        expect(ops.filter((op) => op === 'BlockMatMul').length).toBe(1)
        const feeds = { x: float32(x.data, [n, k]) }
        const together = await evaluate(used, feeds)
        for (const [i, W] of matrices.entries()) {
          const alone = resultOf(await evaluate({ y: product(W) }, feeds), 'y')
          assertClose(resultOf(together, `y${i}`), alone, { relative: 1e-6, name: `product ${i}` })
          if (i !== 1) continue
          assertClose(
            resultOf(together, 'tripled'),
            alone.map((value) => 3 * value),
            { relative: 1e-6, name: 'tripled' },
          )
        }
      }),
      { seed: SEED, numRuns: 15 },
    ))

  it('stay single if each has an x of its own, or another product depends on them', () => {
    const W = stored(tensor([33, 33], new Float32Array(33 * 33).fill(1)))
    const x = input('x', ['rows', 33], 'float32')
    const y = matMul(x, W, { transposeB: true })
    const [other, after] = [input('z', ['rows', 33], 'float32'), y].map((own) => matMul(own, W, { transposeB: true }))
    const ops = topologicalOrder(Object.values(lower({ y, other: other!, after: after! }))).map(({ op }) => op)
    expect(ops.filter((op) => op === 'BlockMatMul').length).toBe(3)
    expect(ops).not.toContain('Split')
  })

  it('are refused for columns and types that do not fit', () => {
    const x = input('x', ['rows', 5], 'float32')
    expect(() => split(x, [2, 2], 1)).toThrow('split: expected sizes that add up to axis 1 of [rows, 5], got [2, 2]')
    const [levels, scales] = stored(tensor([3, 5], new Float32Array(15).fill(1))).inputs
    expect(() => blockMatMul(input('x', ['rows', 5], 'float64'), levels!, scales!)).toThrow(
      'blockMatMul: expected a matrix of float32 for [3, 5], got float64 [rows, 5]',
    )
  })
})

describe('a matrix in blocks', () => {
  it('is the reference rounded in blocks, as a whole and by rows', () =>
    fc.assert(
      fc.asyncProperty(cases, async ({ W }) => {
        const [p = 0, k = 0] = W.shape
        const rows = Array.from({ length: p }, (_, i) => p - 1 - i)
        const gathered = gather(stored(W), constant(rows, [p], 'int64'))
        const results = await evaluate({ whole: mul(stored(W), 1), gathered: mul(gathered, 1) })
        const whole = resultOf(results, 'whole')
        const scales = blockScales(W, blockSize)
        whole.forEach((value, i) => {
          expect(Math.abs(value - (W.data[i] ?? NaN))).toBeLessThanOrEqual(0.5001 * (scales.data[i] ?? NaN))
        })
        expect(resultOf(results, 'gathered')).toEqual(rows.flatMap((row) => whole.slice(row * k, (row + 1) * k)))
      }),
      { seed: SEED, numRuns: 40 },
    ))

  it('names levels and scales that do not fit', () =>
    expect(() => blockDequantize(constant(new Uint8Array(32), [1, 1, 32], 'uint8'), constant([1], [1, 1], 'float32'), 33)).toThrow(
      'blockDequantize: expected levels and scales of 2 blocks, got uint8 [1, 1, 32] and float32 [1, 1]',
    ))
})
