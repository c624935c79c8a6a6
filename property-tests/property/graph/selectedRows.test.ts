/** Selecting rows before a computation is selecting them after it, in value and gradient, at the cost of the selected rows. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { topologicalOrder, type Expression } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import {
  add,
  clip,
  constant,
  div,
  erf,
  exp,
  gelu,
  input,
  layerNormalization,
  matMul,
  mul,
  neg,
  reduceMean,
  reduceSum,
  relu,
  selectRows,
  sigmoid,
  sliceVector,
  sqrt,
  square,
  softmax,
  sub,
  tanh,
} from '../../../accelerated/graph/operators.js'
import { selectedRows } from '../../../accelerated/graph/selectedRows.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { float64, int32, int64, resultOf, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'

const width = 4
const x = input('x', ['rows', width], 'float64')
const W = input('W', [width, width], 'float64')
const row = input('row', [width], 'float64')
const selection = { index: input('index', ['selected'], 'int32'), inverse: input('inverse', ['rows'], 'int32') }

/** A layer's worth of steps, drawn: each makes rows of rows. */
type Step = (h: Expression) => Expression
const steps: Readonly<Record<string, Step>> = {
  product: (h) => matMul(h, W, { transposeB: true }),
  bias: (h) => add(h, row),
  residual: (h) => add(h, tanh(x)),
  difference: (h) => sub(neg(h), mul(x, 0.5)),
  gate: (h) => mul(h, sigmoid(h)),
  share: (h) => div(h, add(exp(clip(h, -1, 1)), 1)),
  erf: (h) => erf(h),
  gelu: (h) => gelu(h),
  relu: (h) => relu(h),
  norm: (h) => layerNormalization(h, row, mul(row, 0.5), 1e-3),
  rootMeanSquare: (h) => mul(div(h, sqrt(add(reduceMean(square(h), [-1], true), 1e-3))), row),
  dropout: (h) => mul(h, sliceVector(input('pool', ['pool'], 'float64'), input('offset', [1], 'int64'), h)),
  attention: (h) => matMul(softmax(matMul(h, h, { transposeB: true })), h),
}
const drawn = fc.record({
  names: fc.array(fc.constantFrom(...Object.keys(steps)), { minLength: 1, maxLength: 8 }),
  rows: fc.integer({ min: 1, max: 7 }),
  chosen: fc.infiniteStream(fc.boolean()),
})

describe(`selected rows (seed ${SEED})`, () => {
  it('equal the rows of the whole result, and so do all gradients', () =>
    fc.assert(
      fc.asyncProperty(drawn, evenlyMany(-1, 1)(7 * width + 2 * width * width + 100), async ({ names, rows, chosen }, numbers) => {
        const hidden = names.reduce((h, name) => (steps[name] as Step)(h), tanh(x))
        const after = selectRows(hidden, selection.index, selection.inverse, { partial: true })
        const before = selectedRows(hidden, selection)
        expect(before.shape).toEqual(['selected', width])
        const targets = [x, W, row]
        const lossOf = (y: Expression): Expression => reduceSum(mul(y, tanh(add(y, 0.3))))
        const slopes = (y: Expression): Record<string, Expression> => {
          const loss = add(lossOf(y), reduceSum(mul(add(reduceSum(x), add(reduceSum(W), reduceSum(row))), 0))) // a path to each target
          return Object.fromEntries(gradient(loss, targets).map((slope, i) => [`slope${i}`, slope]))
        }
        const kept = Array.from({ length: rows }, (_, i) => i).filter((i) => chosen.next().value === true || i === 0)
        const inverse = Array.from({ length: rows }, (_, i) => (kept.includes(i) ? kept.indexOf(i) : kept.length))
        const at = (start: number, shape: readonly number[]) =>
          float64(numbers.slice(start, start + shape.reduce((a, b) => a * b, 1)), shape)
        const feeds = {
          x: at(0, [rows, width]),
          W: at(28, [width, width]),
          row: at(50, [width]),
          pool: at(56, [60]),
          offset: int64([3]),
          index: int32(kept),
          inverse: int32(inverse),
        }
        const run = (y: Expression) => withGraph({ y, ...slopes(y) }, (session) => session(feeds))
        const [expected, actual] = [await run(after), await run(before)]
        for (const name of Object.keys(expected))
          assertClose(resultOf(actual, name), resultOf(expected, name), { relative: 1e-12, absolute: 1e-12, name })
      }),
      { seed: SEED, numRuns: 40 },
    ))

  it('cost only the products of their rows, down to the operator that mixes rows', () => {
    const attended = steps['attention']!(matMul(x, W))
    const hidden = add(matMul(add(matMul(attended, W), row), W), attended)
    const widths = topologicalOrder([selectedRows(hidden, selection)]).filter(({ op }) => op === 'MatMul')
    expect(widths.map(({ shape: [rows] }) => rows)).toEqual(['rows', 'rows', 'rows', 'selected', 'selected'])
  })

  it('cost no whole matrix through a root-mean-square norm', () => {
    const hidden = add(matMul(x, W), x)
    const products = topologicalOrder([selectedRows(steps['rootMeanSquare']!(hidden), selection)]).filter(({ op }) => op === 'MatMul')
    expect(products.map(({ shape: [rows] }) => rows)).toEqual(['selected'])
  })

  it('compute a residual beside attention once, because it is needed for all rows', () => {
    const below = matMul(matMul(x, W), W)
    const hidden = matMul(add(steps['attention']!(below), below), W)
    const widths = topologicalOrder([selectedRows(hidden, selection)]).filter(({ op }) => op === 'MatMul')
    expect(widths.map(({ shape: [rows] }) => rows)).toEqual(['rows', 'rows', 'rows', 'rows', 'selected'])
  })

  it('compute a shared operand once', () => {
    const shared = tanh(matMul(x, W))
    const hidden = add(mul(shared, shared), shared)
    const count = (op: string): number => topologicalOrder([selectedRows(hidden, selection)]).filter((node) => node.op === op).length
    expect([count('Tanh'), count('MatMul'), count('SelectRows')]).toEqual([1, 1, 1])
  })

  it('are selected from a value that is computed for all rows, and compute no layer below twice', () => {
    const layer = (h: Expression): Expression => {
      const mixed = add(h, matMul(steps['attention']!(h), W))
      return add(mixed, matMul(gelu(mixed), W))
    }
    const products = (y: Expression) => topologicalOrder([y]).filter(({ op, inputs }) => op === 'MatMul' && inputs[1] === W)
    const rowCounts = products(selectedRows(layer(layer(x)), selection))
    expect(rowCounts.map(({ shape: [rows] }) => rows)).toEqual(['rows', 'rows', 'selected', 'selected'])
  })

  it('are selected directly from a matrix that is not a row-wise result', () => {
    const product = matMul(constant([1, 2, 3, 4, 5, 6, 7, 8], [width, 2], 'float64'), input('v', [2, 2], 'float64'))
    const few = { index: input('index', ['selected'], 'int32'), inverse: input('inverse', [width], 'int32') }
    const selected = selectedRows(matMul(product, product, { transposeA: true }), { ...few, inverse: input('inverse', [2], 'int32') })
    expect(selected.op).toBe('SelectRows')
  })
})
