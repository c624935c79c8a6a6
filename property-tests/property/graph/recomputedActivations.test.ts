/** Activations that an int8 step computes again for the gradients of adapters: the same bits, and less memory. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Feeds } from '../../../accelerated/engines/feeds.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
import { allocations, findPeak } from '../../../accelerated/graph/liveness.js'
import { add, checkpoint, constant, gelu, input, layerNormalization, matMul, mul, reduceSum } from '../../../accelerated/graph/operators.js'
import { quantizedMatMul } from '../../../accelerated/graph/quantizedOperators.js'
import { recomputeActivations } from '../../../accelerated/graph/lowering.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { evaluate, float32 } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'

const [width, rank] = [4, 4]
const x = input('x', ['rows', width], 'float32')
const [scale, bias] = ['scale', 'bias'].map((name) => input(name, [width], 'float32')) as [Expression, Expression]
const parameters = Array.from({ length: 20 }, (_, i) => input(`A${i}`, [rank, width], 'float32'))
const A = (i: number): Expression => parameters[i] ?? x
const levels = constant(
  Array.from({ length: width * width }, (_, i) => (i * 37) % 127),
  [width, width],
  'int8',
)
const transposed = constant(
  Array.from({ length: width * width }, (_, i) => (((i % width) * width + Math.floor(i / width)) * 37) % 127),
  [width, width],
  'int8',
)

/** What adapters read: the activation itself, or a copy of it, which is kept. */
type Read = (h: Expression) => Expression
const itself: Read = (h) => h
const aCopy: Read = (h) => mul(h, 1)

/** A frozen layer in int8 with adapters beside it. h: [rows, width] → [rows, width] */
const layer = (h: Expression, adapters: readonly number[], read: Read): Expression =>
  adapters.reduce(
    (sum, i) => add(sum, matMul(matMul(read(h), A(i), { transposeB: true }), A(i + 10))),
    quantizedMatMul(h, { levels, transposed }),
  )

/** The gradients of adapters behind an activation. */
const gradientsOf = (
  activation: (x: Expression) => Expression,
  adapters: readonly number[],
  read: Read,
): Readonly<Record<string, Expression>> => {
  const y = layer(activation(x), adapters, read)
  const targets = adapters.flatMap((i) => [A(i), A(i + 10)])
  return Object.fromEntries(gradient(reduceSum(mul(y, y)), targets).map((slope, i) => [`slope ${i}`, mul(slope, 1)]))
}
const normalized = (h: Expression): Expression => layerNormalization(h, scale, bias, 1e-5)
const counted = (outputs: Readonly<Record<string, Expression>>, of: string): number =>
  topologicalOrder(Object.values(outputs)).filter(({ op }) => op === of).length

type Outputs = Readonly<Record<string, Expression>>

const feedsFor = (outputs: Outputs, numbers: readonly number[]): Feeds =>
  Object.fromEntries(
    topologicalOrder(Object.values(outputs))
      .filter(({ op }) => op === 'Input')
      .map(({ attributes: { name = '' }, shape }, place) => {
        const sizes = shape.map((d) => (typeof d === 'number' ? d : 3))
        const drawn = Array.from({ length: sizes.reduce((a, b) => a * b) }, (_, i) => Math.fround(numbers[(i + 7 * place) % 61] ?? NaN))
        return [name, float32(drawn, sizes)]
      }),
  )

describe('an activation that a product takes in int8', () => {
  it.each([
    ['gelu', gelu],
    ['layerNormalization', normalized],
  ])('has the same gradients, bit by bit, computed twice: %s', (_, activation) =>
    fc.assert(
      fc.asyncProperty(evenlyMany(-2, 2)(61), async (numbers) => {
        const [again, kept] = [itself, aCopy].map((read) => gradientsOf(activation, [1, 2], read)) as [Outputs, Outputs]
        expect([
          counted(recomputeActivations(again), 'ControlDependency'),
          counted(recomputeActivations(kept), 'ControlDependency'),
        ]).toEqual([1, 0])
        const feeds = feedsFor(again, [...numbers])
        expect(await evaluate(again, feeds)).toEqual(await evaluate(kept, feeds))
      }),
      { seed: SEED, numRuns: 10 },
    ),
  )

  it('is computed again once, for all adapters', () => {
    for (const activation of [gelu, normalized]) {
      const outputs = gradientsOf(activation, [1, 2], itself)
      const op = activation === gelu ? 'Gelu' : 'LayerNormalization'
      expect([counted(outputs, op), counted(recomputeActivations(outputs), op)]).toEqual([1, 2])
      expect(counted(recomputeActivations(outputs), 'ControlDependency')).toBe(1)
    }
  })

  it('is not kept until the gradient: its memory is free in between', () => {
    const deep = (read: Read): number => {
      const activations = [3, 4, 5].reduce((h, i) => gelu(layer(h, [i], read)), x)
      const slopes = gradient(reduceSum(mul(activations, activations)), [A(3), A(4), A(5)])
      return (
        findPeak(allocations(Object.fromEntries(slopes.map((slope, i) => [`slope ${i}`, slope])), { rows: 100 }, true)) / (100 * width * 4)
      )
    }
    expect([deep(aCopy), deep(itself)]).toEqual([10, 7]) // values of [rows, width]: without the three activations
  })

  it('is computed twice, not three times, under gradient checkpointing', () => {
    const y = checkpoint(gelu(layer(gelu(layer(x, [1], itself)), [2], itself)), x)
    const [slope = x] = gradient(reduceSum(mul(y, y)), [A(2)])
    const outputs = { slope: mul(slope, 1) }
    expect([counted(outputs, 'Gelu'), counted(recomputeActivations(outputs), 'Gelu')]).toEqual([3, 3]) // the last one is not
  })

  it('is computed once where it is no operand in int8, and in graphs without gradients', () => {
    const hidden = gelu(matMul(x, A(0), { transposeB: true }))
    const [slope = x] = gradient(reduceSum(mul(matMul(hidden, A(10)), matMul(hidden, A(10)))), [A(10)])
    const plain = { slope }
    expect(recomputeActivations(plain)).toBe(plain)
    const y = { y: layer(gelu(x), [1], itself) }
    expect(counted(recomputeActivations(y), 'Gelu')).toBe(1)
  })
})
