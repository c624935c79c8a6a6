/**
 * Products with a matrix in int8: the graph against the reference, forward and backward. The graph divides in float32, so a value at the
 * boundary between two levels may fall on either side; nothing else may differ. A row with a boundary value may differ by one level of it.
 */
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openModelFile } from '../../accelerated/engines/onnxRuntimeNode.js'
import { gradient } from '../../accelerated/graph/gradient.js'
import { add, constant, gather, input, mul, reduceSum, weight } from '../../accelerated/graph/operators.js'
import {
  quantizedMatMul,
  matchQuantized,
  transposedView,
  type QuantizedMatrix,
  dequantize as dequantized,
} from '../../accelerated/graph/quantizedOperators.js'
import { toOnnx } from '../../accelerated/graph/onnx.js'
import { rowLevels, rowScales, transposeLevels, unsignedLevels } from '../../accelerated/precisions/int8/quantize.js'
import { dequantize, largestLevel, quantizedLinear, quantizedLinearInputVjp, quantizeRows } from '../../reference/layers/quantizedLinear.js'
import { filled, generate, multiplyRow, tensor, type Tensor } from '../../reference/tensor/tensor.js'
import { evenlyMany } from '../support/arbitraries/graphNumbers.js'
import { assertClose } from '../support/assertClose.js'
import { evaluate, float32, readModel, resultOf } from '../support/runGraph.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { SEED } from '../support/seed.js'

const matrix = (n: number, m: number): fc.Arbitrary<Tensor> =>
  evenlyMany(-2, 2)(n * m).map((data) => tensor([n, m], Float32Array.from(data)))
const cases = fc
  .record({ n: fc.integer({ min: 1, max: 9 }), k: fc.integer({ min: 1, max: 70 }), p: fc.integer({ min: 1, max: 40 }) })
  .chain(({ n, k, p }) => fc.record({ x: matrix(n, k), W: matrix(p, k), yBar: matrix(n, p), b: matrix(1, p) }))

const plainModels = temporaryFolder('plain-products')

/** As the accelerated side stores it, and as the reference reads it. */
const stored = (W: Tensor, type: 'int8' | 'uint8' = 'int8') => {
  const numbers = Float32Array.from(W.data)
  const [p = 0, k = 0] = W.shape
  const scales = rowScales(numbers, W.shape)
  const levels = rowLevels(numbers, scales)
  const transposed = transposeLevels(levels, W.shape)
  return {
    graph: {
      levels: constant(type === 'int8' ? levels : unsignedLevels(levels), [p, k], type),
      transposed: constant(type === 'int8' ? transposed : unsignedLevels(transposed), [k, p], type),
      scales: constant(scales, [p], 'float32'),
    },
    reference: { levels: tensor([p, k], levels), scales: tensor([p], scales) },
  }
}

/** How far values lie from the nearest boundary between levels, in levels. */
const fromBoundary = (x: Tensor): readonly number[] => {
  const { scales } = quantizeRows(x)
  const [, m = 1] = x.shape
  return Array.from(x.data, (value, i) => {
    const scale = scales.data[Math.floor(i / m)] ?? NaN
    return scale === 0 ? 0.5 : Math.abs(Math.abs(value / scale - Math.floor(value / scale)) - 0.5)
  })
}
/** Beyond this a quotient of float32 numbers up to 127 cannot err. */
const near = 1e-4

/** Rows without a value near a boundary agree to float32; in the others, each boundary value may be one level off. rounded: [n, k], levels: [p, k], factors: [p] */
const assertRows = (actual: readonly number[], expected: Tensor, rounded: Tensor, levels: Tensor, factors: Tensor): number => {
  const [[n = 0, k = 0], [, p = 0]] = [rounded.shape, expected.shape]
  const [margins, { scales }] = [fromBoundary(rounded), quantizeRows(rounded)]
  let clear = 0
  const largest = Math.max(...expected.data.map(Math.abs), 1e-30)
  for (let row = 0; row < n; row++) {
    const doubtful = Array.from({ length: k }, (_, i) => i).filter((i) => (margins[row * k + i] ?? 0) < near)
    if (doubtful.length === 0) clear++
    for (let column = 0; column < p; column++) {
      const slack = doubtful.reduce((sum, i) => sum + Math.abs(levels.data[column * k + i] ?? NaN), 0)
      const one = (scales.data[row] ?? NaN) * Math.abs(factors.data[column] ?? NaN)
      const difference = Math.abs((actual[row * p + column] ?? NaN) - (expected.data[row * p + column] ?? NaN))
      expect(difference).toBeLessThanOrEqual(slack * one * (1 + 1e-4) + 2e-6 * largest)
    }
  }
  return clear / n
}

describe(`a product in int8 (seed ${SEED})`, () => {
  it("has the reference's values and gradient, up to one level for a value at a boundary", async () => {
    const clear: number[] = []
    await fc.assert(
      fc.asyncProperty(cases, async ({ x, W, yBar, b }) => {
        const { graph, reference } = stored(W)
        const [n = 0, k = 0] = x.shape
        const [, p = 0] = yBar.shape
        const given = input('x', [n, k], 'float32')
        const y = add(quantizedMatMul(given, graph), constant(b.data, [p], 'float32'))
        const [slope] = gradient(reduceSum(mul(y, constant(yBar.data, [n, p], 'float32'))), [given])
        const results = await evaluate({ y, slope: slope! }, { x: float32(x.data, [n, k]) })
        const bias = tensor([p], b.data)
        clear.push(assertRows(resultOf(results, 'y'), quantizedLinear(x, reference, bias), x, reference.levels, reference.scales))
        const weighed = multiplyRow(yBar, reference.scales)
        const back = generate([k, p], (i) => reference.levels.data[(i % p) * k + Math.floor(i / p)] ?? NaN)
        assertRows(resultOf(results, 'slope'), quantizedLinearInputVjp(reference, yBar), weighed, back, filled([k], 1))
      }),
      { seed: SEED, numRuns: 60 },
    )
    expect(clear.reduce((a, b) => a + b, 0) / clear.length).toBeGreaterThan(0.8) // most rows have nothing to excuse
  })

  it('maps rows of zeros to zeros, and is as exact for rows 10³⁰ times larger', async () => {
    const W = tensor([2, 3], [1, -2, 3, 0, 0, 0])
    const { graph } = stored(W)
    const y = quantizedMatMul(input('x', [3, 3], 'float32'), graph)
    const results = await evaluate({ y }, { x: float32([0, 0, 0, 127, -4, 8, 127e-20, -4e-20, 8e-20], [3, 3]) })
    const exact = 127 * 42 - -4 * 85 + 8 * 127 // levels 42, −85, 127 of 3 / 127
    assertClose(resultOf(results, 'y'), [0, 0, (exact * 3) / 127, 0, (exact * 3e-20) / 127, 0], { relative: 1e-6 })
  })

  it('multiplies two batches that share an input as it multiplies one, for any number of rows', async () => {
    const [W1, W2] = [fc.sample(matrix(5, 7), { seed: SEED, numRuns: 2 })[0]!, fc.sample(matrix(5, 7), { seed: SEED + 1, numRuns: 2 })[1]!]
    const x = input('x', ['rows', 7], 'float32')
    const outputs = { first: quantizedMatMul(x, stored(W1).graph), second: quantizedMatMul(x, stored(W2).graph) }
    for (const rows of [1, 3, 70]) {
      const data = fc.sample(matrix(rows, 7), { seed: SEED + rows, numRuns: 1 })[0]!
      const both = await evaluate(outputs, { x: float32(data.data, [rows, 7]) })
      const alone = await evaluate({ second: outputs.second }, { x: float32(data.data, [rows, 7]) })
      expect(resultOf(both, 'second')).toEqual(resultOf(alone, 'second'))
    }
  })

  it('has the same bits with levels in one layout only or in uint8, forward and backward', () =>
    fc.assert(
      fc.asyncProperty(cases, async ({ x, W, yBar }) => {
        const { graph } = stored(W)
        const unsigned = stored(W, 'uint8').graph
        const [[n = 0, k = 0], [, p = 0]] = [x.shape, yBar.shape]
        const results = async (matrix: QuantizedMatrix) => {
          const given = input('x', [n, k], 'float32')
          const y = quantizedMatMul(given, matrix)
          const [slope] = gradient(reduceSum(mul(y, constant(yBar.data, [n, p], 'float32'))), [given])
          return evaluate({ y, slope: slope! }, { x: float32(x.data, [n, k]) })
        }
        const expected = await results(graph)
        expect(await results({ ...graph, transposed: transposedView(graph.levels) })).toEqual(expected)
        expect(await results(unsigned)).toEqual(expected)
        expect(await results({ ...unsigned, transposed: transposedView(unsigned.levels) })).toEqual(expected)
      }),
      { seed: SEED, numRuns: 20 },
    ))

  it('in plain ONNX multiplies integers, has the same values as the reference, and stays within the bound of its two roundings', async () => {
    const { folder, write } = plainModels
    await fc.assert(
      fc.asyncProperty(cases, async ({ x, W }) => {
        const [[n = 0, k = 0], [p = 0]] = [x.shape, W.shape]
        const { graph, reference } = stored(W, 'uint8')
        const bytes = toOnnx({ y: quantizedMatMul(input('x', [n, k], 'float32'), graph) }, { fusedMatMul: false, quantizedMatMul: 'plain' })
        const { node, domains } = readModel(bytes)
        expect(node.filter(({ opType }) => /MatMul|Gemm/.test(opType)).map(({ opType }) => opType)).toEqual(['MatMulInteger'])
        expect(domains.filter((domain) => domain !== '')).toEqual([])
        write('plain.onnx', bytes)
        const session = await openModelFile(join(folder, 'plain.onnx'), { threads: 1 })
        const y = resultOf(await session.run({ x: float32(x.data, [n, k]) }), 'y')
        await session.release()
        assertRows(y, quantizedLinear(x, reference, filled([p], 0)), x, reference.levels, reference.scales)
        // |x̂ ŵ − x w| ≤ Σ |x̂ − x| |ŵ| + |x| |ŵ − w|, half a level each
        const [rows, columns] = [quantizeRows(x).scales.data, reference.scales.data]
        y.forEach((value, i) => {
          const [row, column] = [Math.floor(i / p), i % p]
          let [exact, bound] = [0, 1e-6]
          for (let j = 0; j < k; j++) {
            const [a, w] = [x.data[row * k + j] ?? NaN, W.data[column * k + j] ?? NaN]
            exact += a * w
            bound += ((rows[row] ?? NaN) / 2) * (Math.abs(w) + (columns[column] ?? NaN) / 2) + (Math.abs(a) * (columns[column] ?? NaN)) / 2
          }
          expect(Math.abs(value - exact)).toBeLessThanOrEqual(bound * (1 + 1e-5))
        })
      }),
      { seed: SEED, numRuns: 40 },
    )
  })

  it('where products saturate, multiplies uint8 by uint8, and refuses levels of a file in int8', () => {
    const target = { fusedMatMul: true, quantizedMatMul: true, saturates: true }
    const { graph } = stored(tensor([2, 3], [1, -2, 3, 4, 5, 6]))
    const zeroPoints = (matrix: QuantizedMatrix): unknown => {
      const { node } = readModel(toOnnx({ y: quantizedMatMul(input('x', [1, 3], 'float32'), matrix) }, target))
      return node.find(({ opType }) => opType === 'MatMulIntegerToFloat')?.input.slice(4)
    }
    expect(zeroPoints(graph)).toEqual(['uint8[](128)', 'uint8[](128)'])
    const inFile = (type: 'int8' | 'uint8'): QuantizedMatrix => {
      const place = { location: 'levels', offset: 0, length: 6 }
      return { ...graph, levels: weight('levels', [2, 3], type, place), transposed: weight('transposed', [3, 2], type, place) }
    }
    expect(zeroPoints(inFile('uint8'))).toEqual(['uint8[](128)', 'uint8[](128)'])
    expect(() => zeroPoints(inFile('int8'))).toThrow('expected levels in uint8, since products with int8 saturate on this processor')
  })

  it('is written only for a device with int8 products', () => {
    const y = quantizedMatMul(input('x', [1, 3], 'float32'), stored(tensor([1, 3], [1, 2, 3])).graph)
    expect(() => toOnnx({ y }, { fusedMatMul: false })).toThrow('expected a target with products in int8')
  })
})

describe('a matrix in int8', () => {
  it('has the levels and scales of the reference up to boundaries, in both layouts, and dequantizes to diag(s) Q', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 })).chain(([p, k]) => matrix(p, k)),
        async (W) => {
          const [p = 0, k = 0] = W.shape
          const { graph, reference } = stored(W)
          const expected = quantizeRows(W)
          assertClose(reference.scales.data, expected.scales.data, { relative: 1e-7 })
          const margins = fromBoundary(W)
          reference.levels.data.forEach((level, i) => {
            expect(Math.abs(level)).toBeLessThanOrEqual(largestLevel)
            expect(Math.abs(level - (expected.levels.data[i] ?? NaN))).toBeLessThanOrEqual((margins[i] ?? 0) < near ? 1 : 0)
          })
          const transposed = generate([k, p], (i) => reference.levels.data[(i % p) * k + Math.floor(i / p)] ?? NaN)
          expect([...(graph.transposed.attributes.data ?? [])]).toEqual([...transposed.data].map((x) => x + 0))
          const index = constant([p - 1, 0], [2], 'int64')
          for (const matrix of [graph, stored(W, 'uint8').graph]) {
            const whole = dequantized(matrix)
            const { W: actual, rows } = await evaluate({ W: mul(whole, 1), rows: gather(whole, index) })
            const expected = dequantize(reference).data
            assertClose(actual as Float32Array, expected, { relative: 1e-6 })
            assertClose(rows as Float32Array, [...expected.slice((p - 1) * k), ...expected.slice(0, k)], { relative: 1e-6 })
          }
          expect(matchQuantized(dequantized(graph))).toEqual(graph)
        },
      ),
      { seed: SEED, numRuns: 40 },
    )
  })

  it('rounds half-way to the even level, as ONNX does', () => {
    // a scale of 1 / 127 · 127 = 1
    const levels = rowLevels(Float32Array.of(127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, -127), Float32Array.of(1))
    expect([...levels]).toEqual([127, 0, 2, 2, 0, -2, -2, -127])
  })
})
