/** Sums with a product in int8: their numbers are those of the terms, which are computed one by one and added in float64. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Expression, Op } from '../../../accelerated/graph/expression.js'
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
import { fuseSums } from '../../../accelerated/graph/fusion.js'
import { lower } from '../../../accelerated/graph/lowering.js'
import { add, addMatMul, constant, input, matMul, mul } from '../../../accelerated/graph/operators.js'
import { blockDequantize, quantizedMatMul } from '../../../accelerated/graph/quantizedOperators.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { evaluate, resultOf } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'
import { reorderedFloat32 } from '../../support/tolerance.js'

const opsOf = (outputs: Readonly<Record<string, Expression>>): readonly Op[] =>
  topologicalOrder(Object.values(fuseSums(outputs))).map(({ op }) => op)
const counted = (ops: readonly Op[], of: Op): number => ops.filter((op) => op === of).length

const matrix = (rows: number, columns: number): fc.Arbitrary<Expression> =>
  evenlyMany(-2, 2)(rows * columns).map((data) => constant(data, [rows, columns], 'float32'))

/** x · Qᵀ in int8, with three columns of x. */
const int8Product = (rows: number, columns: number): fc.Arbitrary<Expression> =>
  fc
    .tuple(matrix(rows, 3), fc.array(fc.integer({ min: -127, max: 127 }), { minLength: 3 * columns, maxLength: 3 * columns }))
    .map(([x, levels]) => {
      const transposed = Array.from({ length: 3 * columns }, (_, i) => levels[(i % columns) * 3 + Math.floor(i / columns)] ?? 0)
      return quantizedMatMul(x, { levels: constant(levels, [columns, 3], 'int8'), transposed: constant(transposed, [3, columns], 'int8') })
    })

const thinProduct = (rows: number, columns: number): fc.Arbitrary<Expression> =>
  fc
    .record({ rank: fc.integer({ min: 1, max: 4 }), transposeB: fc.boolean(), alpha: fc.constantFrom(1, 2, -0.5) })
    .chain(({ rank, transposeB, alpha }) =>
      fc
        .tuple(matrix(rows, rank), transposeB ? matrix(columns, rank) : matrix(rank, columns))
        .map(([a, b]) => matMul(a, b, { transposeB, alpha })),
    )

const sums = fc.record({ rows: fc.integer({ min: 1, max: 5 }), columns: fc.integer({ min: 2, max: 6 }) }).chain(({ rows, columns }) =>
  fc.record({
    terms: fc
      .tuple(
        int8Product(rows, columns),
        fc.array(fc.oneof(thinProduct(rows, columns), int8Product(rows, columns), matrix(rows, columns)), { minLength: 1, maxLength: 5 }),
        fc.array(
          evenlyMany(-2, 2)(columns).map((data) => constant(data, [columns], 'float32')),
          { maxLength: 2 },
        ),
      )
      .chain(([first, more, biases]) => fc.shuffledSubarray([first, ...more, ...biases], { minLength: 1 + more.length + biases.length })),
    columns: fc.constant(columns),
  }),
)

describe('a sum of products in int8, thin products, matrices and biases', () => {
  it('has the numbers of its terms, in every order', () =>
    fc.assert(
      fc.asyncProperty(sums, async ({ terms, columns }) => {
        const [first, ...others] = [...terms].sort((a, b) => b.shape.length - a.shape.length) // a bias alone has no rows
        if (first === undefined) return
        const sum = others.reduce((total, term) => add(total, term), first)
        const separate = await evaluate(Object.fromEntries([first, ...others].map((term, i) => [`term${i}`, mul(term, 1)])))
        const numbers = [first, ...others].map((_, i) => resultOf(separate, `term${i}`))
        const expected = Array.from({ length: numbers[0]?.length ?? 0 }, (_, i) =>
          numbers.reduce((total, term) => total + (term[term.length === columns ? i % columns : i] ?? NaN), 0),
        )
        assertClose(resultOf(await evaluate({ sum: mul(sum, 1) }), 'sum'), expected, { relative: reorderedFloat32, absolute: 1e-4 })
      }),
      { seed: SEED, numRuns: 60 },
    ))
})

describe('the nodes of a fused sum', () => {
  const x = input('x', ['tokens', 3], 'float32')
  const H = input('H', ['tokens', 2], 'float32')
  const [B, A] = [input('B', [4, 2], 'float32'), input('A', [2, 4], 'float32')]
  const bias = input('bias', [4], 'float32')
  const levels = constant(Array(12).fill(1), [4, 3], 'int8')
  const int8 = quantizedMatMul(x, { levels, transposed: constant(Array(12).fill(1), [3, 4], 'int8') })
  const thin = matMul(H, B, { transposeB: true, alpha: 2 })

  it('are one for an adapter and a bias, in place of three', () => {
    const ops = opsOf({ y: add(add(int8, bias), thin) })
    expect([counted(ops, 'AddMatMul'), counted(ops, 'Add'), counted(ops, 'MatMul')]).toEqual([1, 0, 0])
  })

  it('are one for the gradients of several adapters of one input', () => {
    const ops = opsOf({ y: add(add(add(int8, thin), matMul(H, A)), matMul(H, A, { alpha: 3 })) })
    expect([counted(ops, 'AddMatMul'), counted(ops, 'Add'), counted(ops, 'MatMul')]).toEqual([1, 0, 0])
  })

  it('need no copies for one adapter without a bias', () => {
    const ops = opsOf({ y: add(int8, thin) })
    expect([counted(ops, 'AddMatMul'), counted(ops, 'Concat')]).toEqual([1, 0])
  })

  it('are one for an adapter beside a matrix in blocks', () => {
    const blocks = blockDequantize(constant(Array(128).fill(128), [4, 1, 32], 'uint8'), constant(Array(4).fill(1), [4, 1], 'float32'), 3)
    const ops = topologicalOrder(Object.values(lower({ y: add(matMul(x, blocks, { transposeB: true }), thin) }))).map(({ op }) => op)
    expect([counted(ops, 'BlockMatMul'), counted(ops, 'AddMatMul'), counted(ops, 'Add'), counted(ops, 'MatMul')]).toEqual([1, 1, 0, 0])
  })

  it('leave a product that something else reads, and a wide one', () => {
    expect(counted(opsOf({ y: add(int8, thin), thin }), 'AddMatMul')).toBe(0)
    const wide = matMul(input('C', ['tokens', 65], 'float32'), input('D', [65, 4], 'float32'))
    expect(counted(opsOf({ y: add(int8, wide) }), 'AddMatMul')).toBe(0)
  })

  it('keep a partial sum that something else reads', () => {
    const partial = add(int8, bias)
    const fused = fuseSums({ y: add(partial, thin), partial })
    expect(fused['partial']).toBe(partial)
    expect(counted(opsOf({ y: add(partial, thin), partial }), 'AddMatMul')).toBe(0) // its terms are no product in int8
  })

  it('change nothing in a graph without products in int8', () => {
    const outputs = { y: add(add(matMul(x, input('W', [3, 4], 'float32')), bias), thin) }
    expect(fuseSums(outputs)).toBe(outputs)
  })
})

describe('addMatMul', () => {
  it('names shapes that do not fit', () =>
    expect(() => addMatMul(input('c', [2, 3], 'float32'), input('a', [2, 4], 'float32'), input('b', [4, 5], 'float32'))).toThrow(
      'addMatMul: expected [2, 3] float32 of the product, got [2, 5] float32',
    ))
})
