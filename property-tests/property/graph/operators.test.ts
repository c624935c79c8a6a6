/** Shape errors name the operator, the expected shape and the actual one. Operators infer shapes over named dimensions. */
import { describe, expect, it } from 'vitest'
import { product } from '../../../accelerated/graph/dimension.js'
import type { DType, Expression, Shape } from '../../../accelerated/graph/expression.js'
import {
  add,
  broadcastShapes,
  cast,
  concat,
  constant,
  cut,
  equal,
  expand,
  flattenRows,
  gather,
  input,
  layerNormalization,
  less,
  matMul,
  minimum,
  reduceMean,
  reduceSum,
  reshape,
  selectRows,
  slice,
  split,
  sub,
  transpose,
  weight,
  where,
} from '../../../accelerated/graph/operators.js'

const t = (shape: Shape, dtype: DType = 'float32'): Expression => input('x', shape, dtype)

describe('operators', () => {
  it.each([
    ['constant', () => constant([1, 2], [3], 'float32'), 'constant: expected [3] numbers, got 2'],
    ['add', () => add(t([2, 3]), t([2])), 'Add: expected dimensions that are equal or 1, got [2, 3] and [2]'],
    ['add of names', () => add(t(['a', 3]), t(['b', 3])), 'Add: expected dimensions that are equal or 1, got [a, 3] and [b, 3]'],
    ['sub of dtypes', () => sub(t([2]), t([2], 'float64')), 'Sub: expected operands of one dtype, got float32 and float64'],
    ['minimum of numbers', () => minimum(1, 2), 'Min: expected at least one expression, got two numbers'],
    ['less', () => less(t([2]), t([3])), 'Less: expected dimensions that are equal or 1, got [2] and [3]'],
    ['equal', () => equal(t([2], 'int32'), t([2], 'int64')), 'Equal: expected operands of one dtype, got int32 and int64'],
    [
      'where',
      () => where(t([2]), t([2]), t([2])),
      'where: expected a bool and two tensors of its shape and one dtype, got [2], [2] float32, [2] float32',
    ],
    ['matMul, inner', () => matMul(t([2, 3]), t([4, 5])), 'matMul: expected equal inner dimensions, got [2, 3] · [4, 5]'],
    [
      'matMul, transposed',
      () => matMul(t([2, 3]), t([3, 5]), { transposeA: true }),
      'matMul: expected equal inner dimensions, got [2, 3]ᵀ · [3, 5]',
    ],
    ['matMul, leading', () => matMul(t([2, 3, 4]), t([5, 4, 3])), 'matMul: expected equal leading dimensions, got [2, 3, 4] · [5, 4, 3]'],
    ['matMul of a vector', () => matMul(t([3]), t([3, 2])), 'matMul: expected matrices, got [3] · [3, 2]'],
    ['matMul of dtypes', () => matMul(t([2, 2]), t([2, 2], 'float16')), 'matMul: expected operands of one dtype, got float32 and float16'],
    [
      'layerNormalization',
      () => layerNormalization(t([2, 3]), t([3]), t([2]), 1e-5),
      'layerNormalization: expected scale and bias of shape [3], got [3] and [2]',
    ],
    ['reduceSum', () => reduceSum(t([2, 3]), [2]), 'ReduceSum: expected an axis of [2, 3], got 2'],
    ['reduceMean', () => reduceMean(t([2, 3]), [-3]), 'ReduceMean: expected an axis of [2, 3], got -3'],
    ['reshape', () => reshape(t(['a', 6]), ['a', 5]), 'reshape: expected a shape of as many elements as [a, 6], got [a, 5]'],
    ['reshape of names', () => reshape(t(['a', 'b']), ['a', 'c']), 'reshape: expected a shape of as many elements as [a, b], got [a, c]'],
    ['transpose', () => transpose(t([2, 3]), [0, 0]), 'transpose: expected a permutation of the 2 axes, got [0,0]'],
    ['expand', () => expand(t([2]), [3]), 'expand: expected dimensions that are equal or 1, got [2] and [3]'],
    ['expand to less', () => expand(t([2]), [1]), 'expand: expected a shape that [2] broadcasts to, got [1]'],
    [
      'concat',
      () => concat([t([2, 3]), t([2, 4])], 0),
      'concat: expected parts that differ in axis 0 alone, got float32 [2, 3], float32 [2, 4]',
    ],
    ['concat of nothing', () => concat([], 0), 'concat: expected at least one part, got none'],
    ['slice', () => slice(t([2, 3]), 1, 2, 2), 'slice: expected a part of axis 1 of [2, 3], got 2…4'],
    ['slice of a name', () => slice(t(['a', 3]), 0, 0, 1), 'slice: expected a part of axis 0 of [a, 3], got 0…1'],
    ['split', () => split(t([5]), [2, 2]), 'split: expected sizes that add up to axis 0 of [5], got [2, 2]'],
    ['gather', () => gather(t([5, 2]), t([3])), 'gather: expected an integer index, got float32'],
    [
      'selectRows',
      () => selectRows(t([5, 2]), t([3], 'int32'), t([4], 'int32')),
      'selectRows: expected x of rank 2 and one inverse entry a row, got [5, 2] and [4]',
    ],
    ['cut', () => cut(t(['3+n', 2]), 0, [2, 'n']), 'cut: expected sizes that add up to axis 0 of [3+n, 2], got [2, n]'],
    ['cut of two names', () => cut(t(['n+m']), 0, ['n', 'm']), 'cut: expected one part of unknown size at most, got [n, m]'],
    ['add of sums', () => add(t(['3+n']), t(['n+3'])), 'Add: expected dimensions that are equal or 1, got [3+n] and [n+3]'],
    [
      'reshape of sums',
      () => reshape(t(['3+n', 2]), ['2*(2+n)']),
      'reshape: expected a shape of as many elements as [3+n, 2], got [2*(2+n)]',
    ],
  ])('report what they expected and got: %s', (_, make, message) => {
    expect(make).toThrow(message)
  })

  it("read a frozen table's rows in the file's dtype and cast the rows", () => {
    const table = weight('words', [9, 4], 'float16', { location: 'w', offset: 0, length: 72 })
    const rows = gather(cast(table, 'float32'), t([3], 'int32'))
    expect([rows.op, rows.dtype, rows.shape]).toEqual(['Cast', 'float32', [3, 4]])
    expect(rows.inputs[0]).toMatchObject({ op: 'Gather', dtype: 'float16', inputs: [table, {}] })
    expect(gather(cast(t([9, 4], 'float64'), 'float32'), t([3], 'int32')).op).toBe('Gather') // no frozen one
  })

  it('infer shapes of names like shapes of sizes', () => {
    expect(broadcastShapes('Add', ['a', 1, 3], ['b', 1])).toEqual(['a', 'b', 3])
    expect(matMul(t(['n', 3, 'k']), t(['n', 5, 'k']), { transposeB: true }).shape).toEqual(['n', 3, 5])
    expect(reduceSum(t(['a', 'b', 3]), [-1, 0], true).shape).toEqual([1, 'b', 1])
    expect(concat([t(['tokens', 3]), t([1, 3])], 0).shape).toEqual(['tokens+1', 3])
    expect(flattenRows(t(['batch', 'sequence', 3])).shape).toEqual(['batch*sequence', 3])
    expect(flattenRows(t(['batch', '5+sequence', 3])).shape).toEqual(['batch*(5+sequence)', 3])
    expect(concat([t([3, 2]), t(['sequence', 2]), t([1, 2]), t([4, 2])], 0).shape).toEqual(['3+sequence+5', 2])
    expect(cut(t(['a', '2+n+1']), 1, [2, 'n', 1]).map(({ shape }) => shape)).toEqual([
      ['a', 2],
      ['a', 'n'],
      ['a', 1],
    ])
    expect(gather(t([9, 4]), t(['a', 'b'], 'int32')).shape).toEqual(['a', 'b', 4])
  })

  it('add up around each part of a cut, in time in proportion to the parts', () => {
    expect(cut(t(['2+n+5']), 0, [2, 'n', 1, 4]).map(({ attributes: { before, after } }) => [before, after])).toEqual([
      [0, 'n+5'],
      [2, 5],
      ['2+n', 4],
      ['2+n+1', 0],
    ])
    const reads = (parts: number): number => {
      let count = 0
      const sizes = new Proxy(new Array<number>(parts).fill(3), {
        get: (list, key) => {
          count++
          return Reflect.get(list, key) as unknown
        },
      })
      expect(cut(t([3 * parts]), 0, sizes)).toHaveLength(parts)
      return count
    }
    expect(reads(800) / reads(100)).toBeLessThan(9)
  })

  it('compare known sizes and names separately, in any order', () => {
    expect(reshape(t(['batch', 12, 'sequence']), ['12*batch*sequence']).shape).toEqual(['12*batch*sequence'])
    expect(reshape(t(['24*a']), [2, 'a', 12]).shape).toEqual([2, 'a', 12])
    expect(reshape(t(['b', '3+a', 2]), [product([2, '3+a', 'b'])]).shape).toEqual(['2*(3+a)*b'])
    expect(reshape(t(['tokens+1', 4]), [2, 'tokens+1', 2]).shape).toEqual([2, 'tokens+1', 2])
  })

  it('return their operand if nothing changes', () => {
    const x = t([2, 3])
    for (const same of [reshape(x, [2, 3]), expand(x, [2, 3]), concat([x], 0), slice(x, 1, 0, 3), cut(x, 1, [3])[0], reduceSum(x, [])])
      expect(same).toBe(x)
  })
})
