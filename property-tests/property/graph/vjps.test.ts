/** Every gradient rule against central differences of the graph it belongs to, in float64 on the CPU provider. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { resolveDimension } from '../../../accelerated/graph/dimension.js'
import type { Dimension, Expression } from '../../../accelerated/graph/expression.js'
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { clip, input, mul, reduceSum, relu, sigmoid, tanh } from '../../../accelerated/graph/operators.js'
import { vjps } from '../../../accelerated/graph/vjps.js'
import type { Session } from '../../../accelerated/engines/engine.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import type { Occasion, RuleCase, Sizes } from '../../support/arbitraries/graphRules.js'
import { ruleCases } from '../../support/arbitraries/graphRules.js'
import { assertClose } from '../../support/assertClose.js'
import { differences, elements, evaluate, float32, float64, resultOf, sized, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'
import { coarseDifferenceTolerance, differenceTolerance } from '../../support/tolerance.js'

/** ⟨ȳ, y⟩ and its gradient in each input, with ȳ a further input; for all sizes, or for those given. */
const graphOf = (rule: RuleCase, sizes?: Sizes) => {
  const d = (dimension: Dimension): Dimension => (typeof dimension === 'string' ? (sizes?.[dimension] ?? dimension) : dimension)
  const names = Object.keys(rule.inputs)
  const x = Object.fromEntries(Object.entries(rule.inputs).map(([name, { shape }]) => [name, input(name, shape.map(d), 'float64')]))
  const y = rule.y(x, d)
  const loss = reduceSum(mul(y, input('yBar', y.shape, 'float64')))
  const gradients = gradient(
    loss,
    names.map((name) => x[name] as Expression),
  )
  return { y, outputs: { loss, ...Object.fromEntries(names.map((name, i) => [`gradient of ${name}`, gradients[i] as Expression])) } }
}

/** One draw of all inputs and of ȳ. */
const drawing = (rule: RuleCase, y: Expression, occasion: Occasion) => {
  const flatSizes = { ...occasion.sizes, ...composites(y, occasion.sizes) }
  const numbers = Object.entries(rule.inputs).map(([name, { shape, numbers: from }]) => {
    const dimensions = sized(shape, occasion.sizes)
    return from(elements(dimensions)).map((data) => [name, float64(data, dimensions)] as const)
  })
  const shape = sized(y.shape, flatSizes)
  const yBar = evenlyMany(-1, 1)(elements(shape))
  return fc
    .tuple(fc.tuple(...numbers), yBar)
    .map(([inputs, data]) => ({ inputs: Object.fromEntries(inputs), feeds: { ...occasion.feeds, yBar: float64(data, shape) } }))
}

/** Sizes of names such as `a*b` and `2+a` in y's shape. */
const composites = (y: Expression, sizes: Sizes): Sizes =>
  Object.fromEntries(y.shape.filter((d) => typeof d === 'string').map((d) => [d, resolveDimension(d, sizes)]))

const assertGradients = async (
  rule: RuleCase,
  run: Session['run'],
  { inputs, feeds }: { inputs: Record<string, ReturnType<typeof float64>>; feeds: Occasion['feeds'] },
) => {
  const results = await run({ ...feeds, ...inputs })
  for (const [name, { data, shape }] of Object.entries(inputs)) {
    const loss = async (x: Float64Array): Promise<number> =>
      Number(resultOf(await run({ ...feeds, ...inputs, [name]: float64(x, shape) }), 'loss')[0])
    const expected = await differences(loss, Float64Array.from(data as Float64Array))
    const tolerance = rule.coarse === true ? coarseDifferenceTolerance : differenceTolerance
    assertClose(resultOf(results, `gradient of ${name}`), expected, { ...tolerance, name: `gradient of ${name} [${shape}]` })
  }
}

describe(`gradient rules (seed ${SEED})`, () => {
  const ofSteps = ['QuantizedMatMul', 'FourBitMatMul', 'HalfMatMul'] // no slope anywhere: agreement/{quantizedMatMul,fourBitMatMul,halfMatMul} have their rules

  it('all have a test', () => {
    expect([...new Set([...ofSteps, ...ruleCases.map(({ op }) => op)])].sort()).toEqual(Object.keys(vjps).sort())
  })

  for (const op of Object.keys(vjps).filter((name) => !ofSteps.includes(name))) {
    it.each(ruleCases.filter((rule) => rule.op === op).map((rule) => [rule.title, rule] as const))(
      `${op} %s: equals central differences`,
      async (_, rule) => {
        const { y, outputs } = graphOf(rule)
        expect(topologicalOrder([y]).map((node) => node.op)).toContain(op)
        // One session serves all sizes …
        await withGraph(outputs, (run) =>
          fc.assert(
            fc.asyncProperty(
              rule.occasion.chain((occasion) => drawing(rule, y, occasion)),
              (drawn) => assertGradients(rule, run, drawn),
            ),
            { seed: SEED, numRuns: 4 },
          ),
        )
        // … and so does one written for a certain size.
        for (const occasion of fc.sample(rule.occasion, { seed: SEED + 1, numRuns: 1 })) {
          const fixed = graphOf(rule, occasion.sizes)
          await withGraph(fixed.outputs, (run) =>
            fc.assert(
              fc.asyncProperty(drawing(rule, fixed.y, occasion), (drawn) => assertGradients(rule, run, drawn)),
              { seed: SEED, numRuns: 1 },
            ),
          )
        }
      },
    )
  }

  it('gives clip the derivative 0 at both kinks and outside, and 1 strictly inside', async () => {
    const x = input('x', [7], 'float64')
    const [slopes] = gradient(reduceSum(clip(x, -1, 1)), [x])
    const { g } = await evaluate({ g: slopes as Expression }, { x: float64([-2, -1, -1 + 2 ** -50, 0, 1 - 2 ** -50, 1, 2]) })
    expect([...(g as Float64Array)]).toEqual([0, 0, 1, 1, 1, 0, 0])
  })

  it.each([
    ['float64', float64],
    ['float32', float32],
  ] as const)('takes relu in %s to be max(0, x), and its derivative to be 0 up to the kink, 1 beyond', async (dtype, feed) => {
    const x = input('x', [6], dtype)
    const values = [-2, -(2 ** -50), 0, 2 ** -50, 1, 3]
    const [slopes] = gradient(reduceSum(mul(relu(x), input('yBar', [6], dtype))), [x])
    const results = await evaluate({ y: relu(x), g: slopes as Expression }, { x: feed(values), yBar: feed([1, 2, 3, 4, -5, 6]) })
    expect(resultOf(results, 'y')).toEqual(values.map((value) => Math.max(0, value)))
    expect(resultOf(results, 'g')).toEqual([0, 0, 0, 4, -5, 6])
  })
})

describe('the gradient of an activation, computed from its value', () => {
  it.each([
    ['Sigmoid', sigmoid],
    ['Tanh', tanh],
  ] as const)('the gradient of %s depends on the upstream gradient, so that ONNX Runtime cannot compute it earlier', (op, of) => {
    const [x, yBar] = [input('x', ['n'], 'float32'), input('yBar', ['n'], 'float32')]
    const y = of(x)
    const forward = new Set(topologicalOrder([y]))
    const slope = vjps[op](yBar, y, x).flatMap((gradient) => gradient ?? [])
    const needsGradient = (node: Expression): boolean => node === yBar || node.inputs.some(needsGradient)
    const nodes = topologicalOrder(slope).filter((node) => !forward.has(node) && node.inputs.length > 0)
    expect(nodes.length).toBeGreaterThan(0)
    for (const node of nodes) expect(needsGradient(node), node.op).toBe(true)
  })
})
