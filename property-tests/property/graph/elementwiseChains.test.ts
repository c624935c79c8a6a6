/** Chains of elementwise operators in blocks: the same bits as operator by operator, in less memory. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chainsInBlocks } from '../../../accelerated/graph/fusion.js'
import type { Expression, Op } from '../../../accelerated/graph/expression.js'
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { allocations, findPeak } from '../../../accelerated/graph/liveness.js'
import { lower } from '../../../accelerated/graph/lowering.js'
import {
  add,
  cast,
  div,
  erf,
  exp,
  gelu,
  input,
  less,
  matMul,
  mul,
  neg,
  reduceSum,
  scalar,
  sigmoid,
  sub,
  tanh,
} from '../../../accelerated/graph/operators.js'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import { noWeights, type Results } from '../../../accelerated/engines/engine.js'
import type { Feeds } from '../../../accelerated/engines/feeds.js'
import { nodeEngine } from '../../../accelerated/engines/onnxRuntimeNode.js'
import { geluVjp, tensor } from '../../../reference/index.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { evaluate, float32, resultOf } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'

const width = 2048
const x = input('x', ['rows', width], 'float32')
const y = input('y', ['rows', width], 'float32')

/** The results without blocks. */
const plainly = async (outputs: Readonly<Record<string, Expression>>, feeds: Feeds): Promise<Results> => {
  const provider = { provider: { name: 'cpu' }, target: { ...cpu.target, scan: false }, preallocatedOutputs: true }
  const session = await nodeEngine(provider, { threads: 1 }).open(outputs, noWeights)
  return session.run(feeds).finally(session.release)
}

const opsOf = (outputs: Readonly<Record<string, Expression>>): readonly Op[] =>
  topologicalOrder(Object.values(chainsInBlocks(outputs))).map(({ op }) => op)
const scansIn = (outputs: Readonly<Record<string, Expression>>): number => opsOf(outputs).filter((op) => op === 'Scan').length

/** 97 numbers again and again: no two blocks are the same. */
const rowsOf = (rows: number): fc.Arbitrary<readonly number[]> =>
  evenlyMany(-3, 3)(97).map((numbers) => Array.from({ length: rows * width }, (_, i) => Math.fround(numbers[i % 97] ?? NaN)))

/** Some operators after each other, on either or both of two values. */
const ofOne: readonly ((a: Expression) => Expression)[] = [
  exp,
  neg,
  tanh,
  sigmoid,
  erf,
  gelu,
  (a) => mul(a, 0.5),
  (a) => cast(less(a, scalar(1, 'float32')), 'float32'),
]
const ofTwo: readonly ((a: Expression, b: Expression) => Expression)[] = [add, sub, mul, (a, b) => div(a, add(exp(b), 1))]
const chain: fc.Arbitrary<Expression> = fc
  .array(fc.record({ unary: fc.constantFrom(...ofOne), binary: fc.constantFrom(...ofTwo), with: fc.nat(), first: fc.boolean() }), {
    minLength: 3,
    maxLength: 8,
  })
  .map((steps) => {
    const made: Expression[] = [x, y]
    for (const { unary, binary, with: other, first } of steps) {
      const [a, b] = [made.at(-1) ?? x, made[other % made.length] ?? y]
      made.push(first ? binary(unary(a), b) : unary(binary(a, b)))
    }
    return made.at(-1) ?? x
  })

describe('a chain of elementwise operators', () => {
  it('has the same bits in blocks, for any number of rows', () =>
    fc.assert(
      fc.asyncProperty(
        chain,
        fc.integer({ min: 1, max: 3 }).chain((rows) => fc.tuple(fc.constant(rows), rowsOf(rows), rowsOf(rows))),
        async (made, [rows, left, right]) => {
          const feeds = { x: float32(left, [rows, width]), y: float32(right, [rows, width]) }
          const outputs = { z: reduceSum(mul(made, made), [1]), made: mul(made, 1) }
          expect(scansIn(outputs)).toBeGreaterThan(0)
          expect(await evaluate(outputs, feeds)).toEqual(await plainly(outputs, feeds))
        },
      ),
      { seed: SEED, numRuns: 25 },
    ))

  it("gives GELU's gradient as the reference has it", () =>
    fc.assert(
      fc.asyncProperty(rowsOf(3), rowsOf(3), async (left, right) => {
        const [slope] = gradient(reduceSum(mul(gelu(x), y)), [x])
        if (slope === undefined) throw new Error('expected a gradient')
        expect(scansIn({ slope: mul(slope, 1) })).toBe(1)
        const results = await evaluate({ slope: mul(slope, 1) }, { x: float32(left, [3, width]), y: float32(right, [3, width]) })
        const expected = geluVjp('gelu')(tensor([3, width], left), tensor([3, width], right))
        assertClose(resultOf(results, 'slope'), expected.data, { relative: 1e-5, absolute: 1e-6 })
      }),
      { seed: SEED, numRuns: 10 },
    ))
})

describe('a chain in blocks', () => {
  const five = (a: Expression): Expression => exp(neg(tanh(sigmoid(mul(a, 2)))))

  it('is one node with one result, made when the last link is needed', () => {
    expect(opsOf({ z: five(x) })).toEqual(['Input', 'Reshape', 'Constant', 'Scan', 'Reshape'])
    expect(scansIn({ z: mul(five(x), five(y)) })).toBe(1)
  })

  it('ends where a value is read from outside', () => {
    const shared = five(x)
    expect(scansIn({ z: five(shared), sum: reduceSum(shared) })).toBe(2)
    expect(scansIn({ z: five(shared), shared })).toBe(2)
    const [read, short] = [tanh(five(x)), exp(neg(tanh(x)))]
    expect(scansIn({ z: five(matMul(read, input('W', [width, width], 'float32'))), read: reduceSum(read) })).toBe(2)
    expect(scansIn({ z: add(short, short), short: reduceSum(short) })).toBe(0)
  })

  it('is no shorter than five links, and has many columns, which the blocks divide', () => {
    expect(scansIn({ z: exp(neg(tanh(sigmoid(x)))) })).toBe(0)
    expect(scansIn({ z: five(input('v', ['rows', width + 8], 'float32')) })).toBe(0)
    expect(scansIn({ z: five(input('v', [4, width], 'float32')) })).toBe(0)
    expect(scansIn({ z: five(input('v', ['rows', width / 2], 'float32')) })).toBe(0)
  })

  it('leaves operands that differ by row or column outside', () => {
    const [column, row] = [input('c', ['rows', 1], 'float32'), input('r', [width], 'float32')]
    expect(scansIn({ z: exp(neg(tanh(add(sigmoid(x), row)))) })).toBe(0)
    expect(scansIn({ z: exp(neg(tanh(mul(sigmoid(x), column)))) })).toBe(0)
    expect(scansIn({ z: five(mul(x, column)) })).toBe(1)
  })

  it('holds its operands, its result and the values of one block', () => {
    const bytes = 100 * width * 4
    const held =
      findPeak(allocations({ z: reduceSum(five(tanh(mul(x, input('c', ['rows', 1], 'float32'))))) }, { rows: 100 }, true)) / bytes
    expect(held).toBe(2 + 2 / 16)
  })

  it('is for devices that run subgraphs themselves', () => {
    const outputs = { z: five(x) }
    expect(lower(outputs, {})).toEqual(outputs)
    expect(topologicalOrder(Object.values(lower(outputs, { scan: true }))).map(({ op }) => op)).toContain('Scan')
  })
})
