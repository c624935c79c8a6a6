/**
 * Products whose every term is the largest, in each kind of low precision. x86 without VNNI adds products of uint8 and int8 in pairs of 16 bits,
 * which saturate: then 768 ones have the sum 6.07. Random matrices show this in 4.5 % of their sums only. What the sums must be is arithmetic.
 */
import { describe, expect, it } from 'vitest'
import { gradient } from '../../accelerated/graph/gradient.js'
import type { Expression } from '../../accelerated/graph/expression.js'
import { constant, input, matMul, reduceSum } from '../../accelerated/graph/operators.js'
import { blockDequantize, blockSize, fourBitMatMul, quantizedMatMul, transposedView } from '../../accelerated/graph/quantizedOperators.js'
import { fourBits, scalesOfBlocks } from '../../accelerated/precisions/int4/quantize.js'
import { quantizedBlocks, rowLevels, rowScales, transposedOf, unsignedLevels } from '../../accelerated/precisions/int8/quantize.js'
import { float32, resultOf, withGraph } from '../support/runGraph.js'

const [columns, outputs] = [768, 32]

/** W: [outputs, columns] */
type Product = (x: Expression, W: Float32Array) => Expression

const shape = [outputs, columns] as const
const eightBits =
  (type: 'int8' | 'uint8', oneLayout: boolean): Product =>
  (x, W) => {
    const scales = rowScales(W, shape)
    const levels = rowLevels(W, scales)
    const inType = (all: Int8Array, [n, m]: readonly [number, number]) =>
      constant(type === 'int8' ? all : unsignedLevels(all), [n, m], type)
    const stored = inType(levels, shape)
    const transposed = oneLayout ? transposedView(stored) : inType(transposedOf(levels, shape), [columns, outputs])
    return quantizedMatMul(x, { levels: stored, transposed, scales: constant(scales, [outputs], 'float32') })
  }

const products: Readonly<Record<string, Product>> = {
  'int8 in both layouts': eightBits('int8', false),
  'int8 in one layout': eightBits('int8', true),
  'uint8 in both layouts': eightBits('uint8', false),
  'uint8 in one layout': eightBits('uint8', true),
  'four bits': (x, W) => {
    const { levels, blockScales, scales } = fourBits(W, shape)
    return fourBitMatMul(x, {
      levels: constant(
        [...levels].flatMap((two) => [two & 15, two >> 4]),
        [outputs, columns / blockSize, blockSize],
        'uint4',
      ),
      blockScales: constant(blockScales, [outputs, columns / blockSize], 'uint8'),
      scales: constant(scales, [outputs], 'float32'),
      columns,
    })
  },
}

/** Products for generation: they have no gradient. */
const inBlocks: Readonly<Record<string, Product>> = {
  'blocks of eight bits': (x, W) => {
    const { levels, scales } = quantizedBlocks(W, shape, blockSize)
    const blocks = columns / blockSize
    const matrix = blockDequantize(
      constant(levels, [outputs, blocks, blockSize], 'uint8'),
      constant(scales, [outputs, blocks], 'float32'),
      columns,
    )
    return matMul(x, matrix, { transposeB: true })
  },
  'blocks of four bits': (x, W) => {
    const rounded = fourBits(W, shape)
    const blocks = columns / blockSize
    const levels = constant(rounded.levels, [outputs, blocks, blockSize / 2], 'uint8')
    const matrix = blockDequantize(levels, constant(scalesOfBlocks(rounded), [outputs, blocks], 'float32'), columns)
    return matMul(x, matrix, { transposeB: true })
  },
}

/** Single rows and several have kernels of their own. */
const rowCounts = [1, 3, 70]
const signs = [1, -1]

const expectAll = (values: ReadonlyArray<number>, expected: number): void => {
  const wrong = values.filter((value) => !(Math.abs(value - expected) < 1e-4 * Math.abs(expected)))
  expect(wrong, `of ${values.length} sums, which are ${expected}`).toEqual([])
}

describe('a product of the largest numbers, and its gradient', () => {
  it.each(Object.entries({ ...products, ...inBlocks }))('are exact in %s', async (name, product) => {
    for (const w of signs) {
      const x = input('x', ['rows', columns], 'float32')
      const y = product(x, new Float32Array(outputs * columns).fill(w))
      const [slope] = name in products ? gradient(reduceSum(y), [x]) : []
      await withGraph(slope === undefined ? { y } : { y, slope }, async (run) => {
        for (const [rows, a] of rowCounts.flatMap((count) => signs.map((sign) => [count, sign] as const))) {
          const results = await run({ x: float32(new Float32Array(rows * columns).fill(a), [rows, columns]) })
          expectAll(resultOf(results, 'y'), columns * a * w)
          if (slope !== undefined) expectAll(resultOf(results, 'slope'), outputs * w) // Σ over outputs of 1 · W
        }
      })
    }
  })
})
