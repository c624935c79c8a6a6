/** Laws of the reverse walk itself: linearity, fan-out, inner targets, no needless work, and errors that name the operator. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import {
  add,
  clip,
  concat,
  div,
  exp,
  input,
  layerNormalization,
  less,
  logSoftmax,
  matMul,
  maximum,
  minimum,
  mul,
  reduceMean,
  reduceSum,
  reshape,
  elementCount,
  slice,
  sliceVector,
  softmax,
  split,
  sqrt,
  square,
  stopGradient,
  sub,
  tanh,
  weight,
  where,
  cast,
} from '../../../accelerated/graph/operators.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { differences, float64, int64, resultOf, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'
import { differenceTolerance, sameFormulaFloat64 } from '../../support/tolerance.js'
import { findBound } from '../../../evaluation/agreement/acceleratedSide.js'

const options = { seed: SEED, numRuns: 10 }
const numbers = (count: number): fc.Arbitrary<number[]> => evenlyMany(-1.5, 1.5)(count)
const only = (gradients: readonly Expression[]): Expression => gradients[0] as Expression
const x = input('x', [2, 3], 'float64')
const w = input('w', [3, 3], 'float64')
const close = (name: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void =>
  assertClose(actual, expected, { relative: sameFormulaFloat64, absolute: sameFormulaFloat64, name })

describe(`gradient (seed ${SEED})`, () => {
  it('the gradient of disjoint slices places each part, in any order, without adding zeros', () =>
    fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([0, 1, 2, 3, 4], { minLength: 1 }), async (places) => {
        const wide = input('wide', [2, 10], 'float64')
        const loss = places.map((i) => mul(reduceSum(slice(wide, 1, 2 * i, 2)), i + 1)).reduce((a, b) => add(a, b))
        const slope = only(gradient(loss, [wide]))
        expect(topologicalOrder([slope]).filter(({ op }) => op === 'Add')).toEqual([])
        const row = Array.from({ length: 10 }, (_, j) => (places.includes(Math.floor(j / 2)) ? Math.floor(j / 2) + 1 : 0))
        await withGraph({ found: slope }, async (run) => {
          close('found', resultOf(await run({ wide: float64(new Array<number>(20).fill(1), [2, 10]) }), 'found'), [...row, ...row])
        })
      }),
      options,
    ))

  it('is linear in the loss', () => {
    const h = tanh(matMul(x, w))
    const [first, second] = [reduceSum(square(h)), reduceMean(exp(sub(h, x)))]
    const outputs = {
      first: only(gradient(first, [x])),
      second: only(gradient(second, [x])),
      both: only(gradient(sub(mul(first, 0.3), mul(second, 2)), [x])),
    }
    return withGraph(outputs, (run) =>
      fc.assert(
        fc.asyncProperty(numbers(6), numbers(9), async (xs, ws) => {
          const results = await run({ x: float64(xs, [2, 3]), w: float64(ws, [3, 3]) })
          close(
            '∇(0.3 f − 2 g)',
            resultOf(results, 'both'),
            resultOf(results, 'first').map((value, i) => 0.3 * value - 2 * (resultOf(results, 'second')[i] ?? NaN)),
          )
        }),
        options,
      ),
    )
  })

  it('sums over the uses of an expression', () => {
    const uses = (a: Expression, b: Expression, c: Expression): Expression => reduceSum(mul(tanh(matMul(a, w)), add(square(b), mul(c, c))))
    const [a, b, c] = ['a', 'b', 'c'].map((name) => input(name, [2, 3], 'float64')) as [Expression, Expression, Expression]
    const [ofA, ofB, ofC] = gradient(uses(a, b, c), [a, b, c]) as [Expression, Expression, Expression]
    return withGraph({ shared: only(gradient(uses(x, x, x), [x])), ofA, ofB, ofC }, (run) =>
      fc.assert(
        fc.asyncProperty(numbers(6), numbers(9), async (xs, ws) => {
          const same = float64(xs, [2, 3])
          const results = await run({ x: same, a: same, b: same, c: same, w: float64(ws, [3, 3]) })
          close(
            'Σ over uses',
            resultOf(results, 'shared'),
            Array.from(xs, (_, i) => ['ofA', 'ofB', 'ofC'].reduce((sum, name) => sum + (resultOf(results, name)[i] ?? NaN), 0)),
          )
        }),
        options,
      ),
    )
  })

  it('treats an inner expression as an input of the same value', () => {
    const rest = (h: Expression): Expression => reduceSum(mul(logSoftmax(h), square(h)))
    const h = matMul(tanh(x), w)
    const fed = input('h', [2, 3], 'float64')
    return withGraph({ h, inner: only(gradient(rest(h), [h])) }, (run) =>
      withGraph({ outer: only(gradient(rest(fed), [fed])) }, (runOuter) =>
        fc.assert(
          fc.asyncProperty(numbers(6), numbers(9), async (xs, ws) => {
            const results = await run({ x: float64(xs, [2, 3]), w: float64(ws, [3, 3]) })
            const { outer } = await runOuter({ h: float64(resultOf(results, 'h'), [2, 3]) })
            close('∂/∂h', resultOf(results, 'inner'), outer as Float64Array)
          }),
          options,
        ),
      ),
    )
  })

  it('equals central differences through a network of many operators', () => {
    const [scale, bias] = [input('scale', [3], 'float64'), input('bias', [3], 'float64')]
    const normed = layerNormalization(add(tanh(matMul(x, w)), x), scale, bias, 0.1)
    const mixed = matMul(softmax(matMul(normed, normed, { transposeB: true, alpha: 0.5 })), normed)
    const loss = reduceMean(div(square(concat([mixed, normed], 1)), add(exp(mul(reduceMean(normed, [1], true), 0.1)), 1)))
    const [xBar, wBar, scaleBar, biasBar] = gradient(loss, [x, w, scale, bias]) as [Expression, Expression, Expression, Expression]
    return withGraph(
      { loss, 'gradient of x': xBar, 'gradient of w': wBar, 'gradient of scale': scaleBar, 'gradient of bias': biasBar },
      (run) =>
        fc.assert(
          fc.asyncProperty(fc.tuple(numbers(6), numbers(9), numbers(3), numbers(3)), async (values) => {
            const feeds = Object.fromEntries(
              (
                [
                  ['x', [2, 3]],
                  ['w', [3, 3]],
                  ['scale', [3]],
                  ['bias', [3]],
                ] as const
              ).map(([name, shape], i) => [name, float64(values[i] ?? [], shape)]),
            )
            const results = await run(feeds)
            for (const [name, feed] of Object.entries(feeds)) {
              const expected = await differences(
                async (data) => Number(resultOf(await run({ ...feeds, [name]: { ...feed, data } }), 'loss')[0]),
                feed.data as Float64Array,
              )
              assertClose(resultOf(results, `gradient of ${name}`), expected, { ...differenceTolerance, name: `gradient of ${name}` })
            }
          }),
          { seed: SEED, numRuns: 4 },
        ),
    )
  })

  it('is 1 for the loss itself', () => {
    const loss = reduceSum(square(x))
    expect([...(only(gradient(loss, [loss])).attributes.data ?? [])]).toEqual([1])
  })

  it('does no work for frozen weights or below the lowest target', () => {
    const frozen = [0, 1, 2].map((i) => weight(`W${i}`, [3, 3], 'float64', { location: 'w', offset: 72 * i, length: 72 }))
    const trained = input('trained', [3, 3], 'float64')
    const layers = frozen.map(
      (W) =>
        (h: Expression): Expression =>
          tanh(matMul(h, W, { transposeB: true })),
    )
    const [first, second, third] = layers as [(typeof layers)[number], (typeof layers)[number], (typeof layers)[number]]
    const below = second(first(x))
    const loss = reduceSum(third(matMul(below, trained)))
    const nodes = topologicalOrder([only(gradient(loss, [trained]))])
    const reading = (W: Expression | undefined): number => nodes.filter((node) => W !== undefined && node.inputs.includes(W)).length
    expect(frozen.map(reading)).toEqual([1, 1, 2]) // the forward product each, and the backward one above the target alone
    const isMatMul = (node: Expression): boolean => node.op === 'MatMul'
    expect(nodes.filter(isMatMul).length).toBe(4 + 2) // backwards: through W2, and into the target
    // No product transposes a frozen weight's gradient out of the activations: A'B of [3, 2] and [2, 3] occurs for the target alone.
    expect(nodes.filter((node) => isMatMul(node) && node.attributes.transposeA === true).length).toBe(1)
  })

  it('does not pass through an operator that reads only a shape', () => {
    const pool = input('pool', [20], 'float64')
    const masked = mul(x, sliceVector(pool, input('offset', [1], 'int64'), x))
    expect(topologicalOrder([only(gradient(reduceSum(masked), [x]))]).map(({ op }) => op)).toContain('Size')
    expect(() => gradient(reduceSum(cast(elementCount(x.shape), 'float64')), [x])).toThrow('does not depend on target 0 (x [2, 3])')
    return withGraph({ g: only(gradient(reduceSum(masked), [x])) }, async (run) => {
      const { g } = await run({
        x: float64([1, 2, 3, 4, 5, 6], [2, 3]),
        offset: int64([7]),
        pool: float64(Array.from({ length: 20 }, (_, i) => i)),
      })
      assertClose(g as Float64Array, [7, 8, 9, 10, 11, 12], { relative: findBound('cpu', 'float64') })
    })
  })

  it.each([
    ['a loss that is no scalar', () => gradient(square(x), [x]), 'gradient: expected a scalar, got [2, 3]'],
    [
      'a loss that does not depend on the target',
      () => gradient(reduceSum(square(x)), [x, w]),
      'gradient: the expression does not depend on target 1 (w [3, 3])',
    ],
    [
      'a target above the loss',
      () => gradient(reduceSum(x), [reduceSum(square(x))]),
      'gradient: the expression does not depend on target 0 (ReduceSum [])',
    ],
    [
      'Less',
      () => gradient(reduceSum(cast(less(x, 0), 'float64')), [x]),
      'gradient: Less [2, 3] has no gradient, but a target is below it',
    ],
    ['Min', () => gradient(reduceSum(minimum(x, 0)), [x]), 'gradient: Min [2, 3] has no gradient'],
    ['Max', () => gradient(reduceSum(maximum(x, 0)), [x]), 'gradient: Max [2, 3] has no gradient'],
    [
      'Split, its first part',
      () => gradient(reduceSum(split(reshape(x, [6]), [2, 4])[0] as Expression), [x]),
      'gradient: Split [2] has no gradient',
    ],
    [
      'Split, a later part',
      () => gradient(reduceSum(split(reshape(x, [6]), [2, 4])[1] as Expression), [x]),
      'gradient: OutputOf [4] has no gradient',
    ],
    [
      'a mean over an axis of unknown size',
      () => gradient(reduceSum(reduceMean(input('s', ['n', 2], 'float64'), [0])), [input('s', ['n', 2], 'float64')]),
      'does not depend',
    ],
  ])('refuses %s', (_, take, message) => {
    expect(take).toThrow(message)
  })

  it('names the operator whose gradient needs an unknown size', () => {
    const named = input('n', ['rows', 2], 'float64')
    expect(() => gradient(reduceSum(reduceMean(named, [0])), [named])).toThrow(
      'ReduceMean: expected axes of known size to differentiate, got rows; use reduceSum and divide',
    )
    expect(() => gradient(reduceSum(square(concat([named, named], 0))), [named])).toThrow(
      'Concat: expected one part of unknown size at most to differentiate, got rows, rows',
    )
  })

  it("treats detached values as constants, as DoRA's row norms", () => {
    const [yBar, fedNorms] = [input('yBar', [3, 3], 'float64'), input('norms', [3, 1], 'float64')]
    const norms = sqrt(reduceSum(square(w), [1], true))
    const lossWith = (divisor: Expression): Expression => reduceSum(mul(add(square(div(w, divisor)), w), yBar))
    const outputs = { norms, detached: only(gradient(lossWith(stopGradient(norms)), [w])), whole: only(gradient(lossWith(norms), [w])) }
    return withGraph(outputs, (run) =>
      withGraph({ constant: only(gradient(lossWith(fedNorms), [w])) }, (runConstant) =>
        fc.assert(
          fc.asyncProperty(numbers(9), numbers(9), async (ws, ys) => {
            const feeds = { w: float64(ws, [3, 3]), yBar: float64(ys, [3, 3]) }
            const results = await run(feeds)
            const expected = await runConstant({ ...feeds, norms: float64(resultOf(results, 'norms'), [3, 1]) })
            close('∂/∂w', resultOf(results, 'detached'), resultOf(expected, 'constant'))
            expect(resultOf(results, 'whole')).not.toEqual(resultOf(results, 'detached'))
          }),
          options,
        ),
      ),
    )
  })

  it('gives a detached target its gradient, and refuses a target that is only below a detached expression', () => {
    const h = stopGradient(tanh(x))
    expect(only(gradient(reduceSum(h), [h])).shape).toEqual([2, 3])
    expect(() => gradient(reduceSum(square(h)), [x])).toThrow('gradient: the expression does not depend on target 0 (x [2, 3])')
  })

  it('ignores a condition that depends on the target', () => {
    const piecewise = where(less(x, 0), mul(x, 3), clip(x, 0, 1))
    return withGraph({ g: only(gradient(reduceSum(piecewise), [x])) }, async (run) => {
      const { g } = await run({ x: float64([-2, -0.5, 0.5, 0.9, 1.5, 7], [2, 3]) })
      expect([...(g as Float64Array)]).toEqual([3, 3, 1, 1, 0, 0])
    })
  })
})
