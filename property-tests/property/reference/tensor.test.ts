import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addRow,
  columnSums,
  generate,
  matMul,
  rowMeans,
  scatterRows,
  selectColumns,
  selectRows,
  slice,
  stackColumns,
  stackRows,
  sum,
  multiply,
  tensor,
  transpose,
  type Tensor,
} from '../../../reference/index.js'
import { length } from '../../support/arbitraries/shapes.js'
import { tensorOf } from '../../support/arbitraries/tensors.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

const options = { seed: SEED, numRuns: 60 }
const at = (x: Tensor, i: number, j: number): number => x.data[i * x.shape[1]! + j]!
const matrix = fc.tuple(length(), length()).chain((shape) => tensorOf(shape))

describe(`tensors (seed ${SEED})`, () => {
  it('multiplies matrices by the sum over the inner index, with either operand transposed', () => {
    const operands = fc.tuple(length(), length(), length()).chain(([n, p, m]) => fc.tuple(tensorOf([n, p]), tensorOf([p, m])))
    fc.assert(
      fc.property(operands, ([x, y]) => {
        const [n, p, m] = [x.shape[0]!, x.shape[1]!, y.shape[1]!]
        const expected = generate([n, m], (i) =>
          Array.from({ length: p }, (_, l) => at(x, Math.floor(i / m), l) * at(y, l, i % m)).reduce((a, b) => a + b, 0),
        )
        const [xT, yT] = [transpose(x), transpose(y)]
        ;[
          matMul(x, y),
          matMul(xT, y, { transposeX: true }),
          matMul(x, yT, { transposeY: true }),
          matMul(xT, yT, { transposeX: true, transposeY: true }),
        ].forEach((product) => {
          expect(product.shape).toEqual([n, m])
          assertClose(product.data, expected.data, { relative: 1e-14, absolute: 1e-15, name: 'product' })
        })
      }),
      options,
    )
  })

  it('swaps rows and columns when it transposes', () => {
    expect(transpose(tensor([2, 3], [1, 2, 3, 4, 5, 6]))).toEqual(tensor([3, 2], [1, 4, 2, 5, 3, 6]))
  })

  it('slices the block between the bounds', () => {
    expect(slice(tensor([3, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9]), [1, 0], [3, 2])).toEqual(tensor([2, 2], [4, 5, 7, 8]))
    expect(slice(tensor([2, 2, 2], [1, 2, 3, 4, 5, 6, 7, 8]), [1, 0, 1], [2, 2, 2])).toEqual(tensor([1, 2, 1], [6, 8]))
  })

  it('selects the rows that it stacked', () => {
    fc.assert(
      fc.property(matrix, (x) => {
        expect(slice(stackRows([x, x]), [x.shape[0]!, 0], [2 * x.shape[0]!, x.shape[1]!])).toEqual(x)
        expect(slice(stackColumns([x, x]), [0, x.shape[1]!], [x.shape[0]!, 2 * x.shape[1]!])).toEqual(x)
      }),
      options,
    )
  })

  it('scatters rows by the transpose of selecting them', () => {
    const cases = matrix.chain((x) =>
      fc
        .array(fc.integer({ min: 0, max: x.shape[0]! - 1 }), { minLength: 1, maxLength: 6 })
        .chain((indices) => tensorOf([indices.length, x.shape[1]!]).map((y) => [x, indices, y] as const)),
    )
    fc.assert(
      fc.property(cases, ([x, indices, y]) => {
        const inner = sum(multiply(selectRows(x, indices), y))
        assertClose([sum(multiply(x, scatterRows(y, indices, x.shape[0]!)))], [inner], {
          relative: 1e-13,
          absolute: 1e-13,
          name: '⟨Sx, y⟩',
        })
      }),
      options,
    )
  })

  it('adds a row to every row, sums down columns, and takes means along rows', () => {
    const x = tensor([2, 3], [1, 2, 3, 4, 5, 6])
    expect(addRow(x, tensor([3], [10, 20, 30]))).toEqual(tensor([2, 3], [11, 22, 33, 14, 25, 36]))
    expect(columnSums(x)).toEqual(tensor([3], [5, 7, 9]))
    assertClose(rowMeans(x).data, [2, 5], { relative: 1e-15 })
    expect(selectColumns(x, [2, 0])).toEqual(tensor([2, 2], [3, 1, 6, 4]))
  })

  it('names the operation, the expected and the given shape in errors', () => {
    const x = tensor([2, 3], [1, 2, 3, 4, 5, 6])
    expect(() => matMul(x, x)).toThrow('matMul: expected inner dimensions that agree, got [2, 3] · [2, 3]')
    expect(() => multiply(x, transpose(x))).toThrow('multiply: expected shape [2, 3], got [3, 2]')
    expect(() => addRow(x, tensor([2], [1, 2]))).toThrow('addRow: expected shape [3], got [2]')
    expect(() => tensor([2], [1])).toThrow('tensor: expected 2 numbers for shape [2], got 1')
    expect(() => slice(x, [0, 0], [3, 1])).toThrow('slice: expected bounds within [2, 3], got [0, 0] to [3, 1]')
    expect(() => selectRows(x, [2])).toThrow('selectRows: expected indices from 0 to 1, got 2')
  })
})
