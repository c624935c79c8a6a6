/**
 * Products with a matrix in four bits: the graph against the reference, forward and backward, and the stored levels against the reference's. Values of x
 * at a boundary between two levels are kept away, since float32 may round them to either side.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gradient } from '../../accelerated/graph/gradient.js'
import { topologicalOrder } from '../../accelerated/graph/expression.js'
import { lower } from '../../accelerated/graph/lowering.js'
import { add, constant, input, matMul, mul, reduceSum } from '../../accelerated/graph/operators.js'
import {
  blockDequantize,
  blockMatMul,
  blockSize,
  fourBitDequantize,
  fourBitMatMul,
  matchFourBit,
  type FourBitMatrix,
} from '../../accelerated/graph/quantizedOperators.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { packedNibbles } from '../../accelerated/graph/onnxProto.js'
import { fourBits, computeBlockScales } from '../../accelerated/precisions/int4/int4.js'
import { roundBlocks } from '../../reference/layers/blockLinear.js'
import { quantizeFourBits } from '../../reference/layers/fourBitLinear.js'
import {
  dequantize,
  quantizedLinear,
  quantizedLinearInputVjp,
  quantizeRows,
  type Quantized,
} from '../../reference/layers/quantizedLinear.js'
import { matMul as referenceMatMul } from '../../reference/tensor/matMul.js'
import { multiplyRow, tensor, type Tensor } from '../../reference/tensor/tensor.js'
import { evenlyMany } from '../support/arbitraries/graphNumbers.js'
import { assertClose } from '../support/assertClose.js'
import { evaluate, float32, readModel, resultOf } from '../support/runGraph.js'
import { SEED } from '../support/seed.js'

const matrix = (n: number, m: number): fc.Arbitrary<Tensor> =>
  evenlyMany(-2, 2)(n * m).map((data) => tensor([n, m], Float32Array.from(data)))
/** Widths with and without a last block that is longer than the row. */
const widths = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.constantFrom(32, 64, 96))
const cases = fc
  .record({ n: fc.integer({ min: 1, max: 5 }), k: widths, p: fc.integer({ min: 1, max: 40 }) })
  .chain(({ n, k, p }) => fc.record({ x: matrix(n, k), W: matrix(p, k), yBar: matrix(n, p), b: matrix(1, p) }))

/** The levels of a stored matrix, one by one. */
const unpacked = (packed: Uint8Array): readonly number[] => [...packed].flatMap((two) => [two & 15, two >> 4])

/** As the accelerated side stores it. */
const stored = (W: Tensor): FourBitMatrix & { readonly scales: NonNullable<FourBitMatrix['scales']> } => {
  const [p = 0, k = 0] = W.shape
  const { levels, blockScales, scales } = fourBits(Float32Array.from(W.data), W.shape)
  const blocks = Math.ceil(k / blockSize)
  return {
    levels: constant(unpacked(levels), [p, blocks, blockSize], 'uint4'),
    blockScales: constant(blockScales, [p, blocks], 'uint8'),
    scales: constant(scales, [p], 'float32'),
    columns: k,
  }
}

/** kq of a stored matrix, by the definition. */
const levelsOf = ({ levels, blockScales, columns }: FourBitMatrix): Tensor => {
  const [p = 0, blocks = 0] = levels.shape.map(Number)
  const [q, k] = [levels.attributes.data ?? [], blockScales.attributes.data ?? []]
  const numbers = Array.from({ length: p * columns }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns]
    const block = row * blocks + Math.floor(column / blockSize)
    return ((q[block * blockSize + (column % blockSize)] ?? NaN) - 8) * ((k[block] ?? NaN) - 16)
  })
  return tensor([p, columns], numbers)
}

/** The same numbers with each at the nearest level of its row: no value is near a boundary. */
const atLevels = (x: Tensor): Tensor => tensor(x.shape, Float32Array.from(dequantize(quantizeRows(x)).data))

describe(`a product with a matrix in four bits (seed ${SEED})`, () => {
  it("has the reference's values and gradient, with a bias", () =>
    fc.assert(
      fc.asyncProperty(cases, async ({ x: drawn, W, yBar, b }) => {
        const graph = stored(W)
        const [[n = 0, k = 0], [, p = 0]] = [drawn.shape, yBar.shape]
        const reference: Quantized = { levels: levelsOf(graph), scales: tensor([p], graph.scales.attributes.data ?? []) }
        const x = atLevels(drawn)
        const given = input('x', [n, k], 'float32')
        const y = add(fourBitMatMul(given, graph), constant(b.data, [p], 'float32'))
        const [slope] = gradient(reduceSum(mul(y, constant(yBar.data, [n, p], 'float32'))), [given])
        const results = await evaluate({ y, slope: slope! }, { x: float32(x.data, [n, k]) })
        assertClose(resultOf(results, 'y'), quantizedLinear(x, reference, tensor([p], b.data)).data, { relative: 1e-5 })
        // values of ȳ ⊙ s near a boundary may be one level off
        const expected = quantizedLinearInputVjp(reference, yBar)
        const { scales, levels } = quantizeRows(multiplyRow(yBar, reference.scales))
        const largest = Math.max(...expected.data.map(Math.abs), 1e-30)
        resultOf(results, 'slope').forEach((value, i) => {
          const [row, column] = [Math.floor(i / k), i % k]
          const doubtful = Array.from({ length: p }, (_, j) => j).filter((j) => {
            const place = ((yBar.data[row * p + j] ?? NaN) * (reference.scales.data[j] ?? NaN)) / (scales.data[row] ?? NaN)
            return Math.abs(Math.abs(place - (levels.data[row * p + j] ?? NaN)) - 0.5) < 1e-4
          })
          const slack = doubtful.reduce((sum, j) => sum + Math.abs(reference.levels.data[j * k + column] ?? NaN), 0)
          const difference = Math.abs(value - (expected.data[i] ?? NaN))
          expect(difference).toBeLessThanOrEqual(1.001 * slack * (scales.data[row] ?? NaN) + 1e-5 * largest)
        })
      }),
      { seed: SEED, numRuns: 60 },
    ))

  it('has the levels of least squared error that the reference finds, and is diag(s) kq as a whole', () =>
    fc.assert(
      fc.asyncProperty(cases, async ({ W }) => {
        const graph = stored(W)
        const expected = quantizeFourBits(W)
        expect([...levelsOf(graph).data].map((level) => level + 0)).toEqual([...expected.levels.data].map((level) => level + 0))
        assertClose(graph.scales.attributes.data ?? [], expected.scales.data, { relative: 1e-7 })
        const { whole } = await evaluate({ whole: fourBitDequantize(graph) })
        assertClose(whole as Float32Array, dequantize(expected).data, { relative: 1e-6 })
        expect(matchFourBit(fourBitDequantize(graph))).toEqual(graph)
      }),
      { seed: SEED, numRuns: 60 },
    ))

  it('expands levels for each product, so that none are kept between a layer and its gradient', () => {
    const graph = stored(fc.sample(matrix(4, 64), { seed: SEED, numRuns: 1 })[0]!)
    const x = input('x', ['rows', 64], 'float32')
    const y = fourBitMatMul(x, graph)
    const [slope] = gradient(reduceSum(mul(y, y)), [x])
    const bytes = toOnnx({ y, slope: slope! }, { fusedMatMul: true, quantizedMatMul: true })
    const expansions = readModel(bytes).node.filter(({ opType }) => opType === 'QLinearMul')
    expect(expansions.length).toBe(2)
    expect(() => toOnnx({ y }, { fusedMatMul: false, quantizedMatMul: 'plain' })).toThrow('expected a target with products in int8')
  })

  it('of zeros is zero, and any number of rows has the same numbers', async () => {
    const W = fc.sample(matrix(3, 40), { seed: SEED, numRuns: 1 })[0]!
    const data = Float32Array.from({ length: 80 }, (_, i) => (i < 40 ? 0 : (i % 7) - 3))
    const y = fourBitMatMul(input('x', ['rows', 40], 'float32'), stored(W))
    const [both, alone] = [
      await evaluate({ y }, { x: float32(data, [2, 40]) }),
      await evaluate({ y }, { x: float32(data.slice(40), [1, 40]) }),
    ]
    expect(resultOf(both, 'y').slice(0, 3)).toEqual([0, 0, 0])
    expect(resultOf(both, 'y').slice(3)).toEqual(resultOf(alone, 'y'))
  })

  it('names shapes and types that do not fit', () => {
    const graph = stored(tensor([2, 3], [1, 2, 3, 4, 5, 6]))
    expect(() => fourBitMatMul(input('x', [1, 4], 'float32'), graph)).toThrow(
      'fourBitMatMul: expected rows of float32 for [2, 3]ᵀ, got float32 [1, 4]',
    )
    expect(() => fourBitMatMul(input('x', [1, 2], 'float32'), graph, false)).toThrow('expected no scales of rows, got [2]')
    expect(() => fourBitDequantize({ ...graph, columns: 33 })).toThrow('expected parts of 2 blocks a row')
    expect(() => fourBitDequantize({ ...graph, blockScales: graph.levels })).toThrow('expected parts of 1 blocks a row')
  })
})

describe('a matrix in four bits for generation', () => {
  const blocksOf = (W: Tensor) => {
    const [p = 0, k = 0] = W.shape
    const rounded = fourBits(Float32Array.from(W.data), [p, k])
    const blocks = Math.ceil(k / blockSize)
    const levels = constant(rounded.levels, [p, blocks, blockSize / 2], 'uint8')
    return blockDequantize(levels, constant(computeBlockScales(rounded), [p, blocks], 'float32'), k)
  }

  it('is the matrix that training has, as a whole and in its products with rounded blocks of x', () =>
    fc.assert(
      fc.asyncProperty(cases, async ({ x: drawn, W }) => {
        const [[n = 0, k = 0], [p = 0]] = [drawn.shape, W.shape]
        const x = tensor(drawn.shape, Float32Array.from(roundBlocks(drawn, blockSize).data))
        const trained = dequantize(quantizeFourBits(W))
        const y = matMul(input('x', [n, k], 'float32'), blocksOf(W), { transposeB: true })
        expect(topologicalOrder(Object.values(lower({ y }))).map(({ op }) => op)).toContain('BlockMatMul')
        const results = await evaluate({ y, whole: mul(blocksOf(W), 1) }, { x: float32(x.data, [n, k]) })
        assertClose(resultOf(results, 'whole'), trained.data, { relative: 1e-6 })
        assertClose(resultOf(results, 'y'), referenceMatMul(x, trained, { transposeY: true }).data, { relative: 2e-5 })
        expect(resultOf(results, 'y').length).toBe(n * p)
      }),
      { seed: SEED, numRuns: 50 },
    ))

  it('is stored two values a byte, the first in the lower bits', () => {
    expect([...packedNibbles([1, 2, 15, 0, 9])]).toEqual([0x21, 0x0f, 0x09])
    const { levels } = fourBits(Float32Array.of(-120, 105, 15), [1, 3])
    expect([...levels.slice(0, 2)]).toEqual([15 << 4, (8 << 4) | 9])
    expect([...levels.slice(2)].every((two) => two === 0x88)).toBe(true)
    expect(() =>
      blockMatMul(input('x', [1, 3], 'float32'), constant(levels, [1, 1, 16], 'uint8'), constant([1, 1], [1, 2], 'float32')),
    ).toThrow('expected levels and scales of 1 blocks')
  })
})
