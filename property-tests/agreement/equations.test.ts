/** Each equation of the method by itself, over many values in one session: gates, density, orthogonality, the low-rank update, AdamW. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { adamw } from '../../accelerated/training/optimizer.js'
import type { Expression } from '../../accelerated/graph/expression.js'
import { gradient } from '../../accelerated/graph/gradient.js'
import { add, input, maximum, mul, reduceSum } from '../../accelerated/graph/operators.js'
import { deterministicGate, probabilityNonZero, sampleGate } from '../../accelerated/methods/salora/hardConcrete.js'
import { density, densityPenalty, gateCosts } from '../../accelerated/methods/salora/lagrangian.js'
import { addLowRank } from '../../accelerated/methods/lowRank.js'
import { orthogonality, gatedRows } from '../../accelerated/methods/salora/stackedFactors.js'
import { findBound } from '../../evaluation/agreement/acceleratedSide.js'
import * as reference from '../../reference/index.js'
import { lowRankShape } from '../support/arbitraries/shapes.js'
import { tensorOf } from '../support/arbitraries/tensors.js'
import { assertClose } from '../support/assertClose.js'
import { evaluate, float64, resultOf, withGraph } from '../support/runGraph.js'
import { SEED } from '../support/seed.js'

const relative = findBound('cpu', 'float64')
const vector = (name: string, size: number) => input(name, [size], 'float64')
const feed = ({ data, shape }: reference.Tensor) => float64(data, shape)
const settingsOf = (tau: number) => ({ tau, gamma: -0.1, zeta: 1.1 })

describe(`the equations in a graph (seed ${SEED})`, () => {
  it.each([1, 0.4, 2.5])('gives gates of equation (7), ĝ, and P(g > 0) of equation (8), with their gradients, at τ = %d', (tau) => {
    const size = 40
    const settings = settingsOf(tau)
    const [logTheta, u, weights] = [vector('logTheta', size), vector('u', size), vector('weights', size)]
    const [g, p, c] = [sampleGate(settings)(logTheta, u), probabilityNonZero(settings)(logTheta), deterministicGate(settings)(logTheta)]
    const [gBar] = gradient(reduceSum(mul(g, weights)), [logTheta])
    const [pBar] = gradient(reduceSum(mul(p, weights)), [logTheta])
    return withGraph({ g, p, c, gBar: gBar ?? g, pBar: pBar ?? p }, (run) =>
      fc.assert(
        fc.asyncProperty(tensorOf([size], -8, 8), tensorOf([size], 1e-4, 1 - 1e-4), tensorOf([size]), async (location, noise, bar) => {
          const results = await run({ logTheta: feed(location), u: feed(noise), weights: feed(bar) })
          const close = (name: string, expected: reference.Tensor) =>
            assertClose(resultOf(results, name), expected.data, { relative, name })
          close('g', reference.sampleGate(settings)(location, noise))
          close('c', reference.deterministicGate(settings)(location))
          close('p', reference.probabilityNonZero(settings)(location))
          close('gBar', reference.sampleGateVjp(settings)(location, noise, bar))
          close('pBar', reference.probabilityNonZeroVjp(settings)(location, bar))
          resultOf(results, 'g').forEach((x) => expect(x >= 0 && x <= 1).toBe(true))
        }),
        { seed: SEED, numRuns: 20 },
      ),
    )
  })

  it('treats noise of 0 and 1 as noise at the margin of 1e-6, equation (7)', async () => {
    const [logTheta, u] = [reference.tensor([6], [0, 0, 3, -3, 14, -14]), reference.tensor([6], [0, 1, 0, 1, 0, 1])]
    const [location, noise] = [vector('logTheta', 6), vector('u', 6)]
    const results = await evaluate({ g: sampleGate(settingsOf(1))(location, noise) }, { logTheta: feed(logTheta), u: feed(u) })
    assertClose(resultOf(results, 'g'), [...reference.sampleGate(settingsOf(1))(logTheta, u).data], { relative: 1e-12 })
    expect(resultOf(results, 'g')[4]).toBeCloseTo(1.2 / (1 + Math.exp(Math.log(999_999) - 14)) - 0.1, 12) // where the location is as far out, the clamp decides
  })

  it('has no gradient at the kinks s̄ = 0 and s̄ = 1 of equation (7), and one just inside', async () => {
    const at = async (gamma: number, zeta: number, logTheta: number): Promise<readonly [number, number]> => {
      const [location, u, settings] = [vector('logTheta', 1), vector('u', 1), { tau: 1, gamma, zeta }]
      const g = sampleGate(settings)(location, u)
      const [slope] = gradient(reduceSum(g), [location])
      const results = await evaluate({ g, slope: slope ?? g }, { logTheta: float64([logTheta]), u: float64([0.5]) })
      const byHand = reference.sampleGateVjp(settings)(
        reference.tensor([1], [logTheta]),
        reference.tensor([1], [0.5]),
        reference.tensor([1], [1]),
      ).data[0]
      assertClose(resultOf(results, 'slope'), [byHand ?? NaN], { relative: 1e-12 })
      return [resultOf(results, 'g')[0] ?? NaN, resultOf(results, 'slope')[0] ?? NaN]
    }
    expect(await at(-1.5, 1.5, 0)).toEqual([0, 0]) // σ(0) · 3 − 1.5
    expect(await at(-1, 3, 0)).toEqual([1, 0]) // σ(0) · 4 − 1
    expect((await at(-1.5, 1.5, 1e-6))[1]).toBeGreaterThan(0.7)
    expect((await at(-1.5, 1.5, -1e-6))[1]).toBe(0)
    expect((await at(-1, 3, -1e-6))[1]).toBeGreaterThan(0.9)
    expect((await at(-1, 3, 1e-6))[1]).toBe(0)
  })

  it('gives the density of equation (11) for matrices of unequal cost, and the gradients of equation (12) in Θ and λ', () => {
    const matrices = [
      { d: 3, k: 5, r: 2 },
      { d: 7, k: 3, r: 3 },
      { d: 1, k: 1, r: 1 },
    ]
    const [logTheta, lambda, b] = [vector('logTheta', 6), input('lambda', [], 'float64'), input('b', [], 'float64')]
    const c = density(settingsOf(1), gateCosts(matrices))(logTheta)
    const l = densityPenalty(lambda, c, b)
    const [thetaBar, lambdaBar] = gradient(l, [logTheta, lambda])
    return withGraph({ c, l, thetaBar: thetaBar ?? c, lambdaBar: lambdaBar ?? c }, (run) =>
      fc.assert(
        fc.asyncProperty(
          tensorOf([6], -4, 4),
          fc.double({ min: 0, max: 50, noNaN: true }),
          fc.double({ min: 0.05, max: 1, noNaN: true }),
          async (location, multiplier, target) => {
            const adapters = Object.fromEntries(
              matrices.map(({ d, k, r }, i) => [
                `m${i}`,
                {
                  A: reference.filled([r, k], 0),
                  B: reference.filled([d, r], 0),
                  logTheta: reference.tensor([r], [...location.data].slice([0, 2, 5][i], [2, 5, 6][i])),
                },
              ]),
            )
            const results = await run({ logTheta: feed(location), lambda: float64([multiplier], []), b: float64([target], []) })
            const now = reference.density(settingsOf(1))(adapters)
            const bar = reference.densityVjp(settingsOf(1))(adapters, reference.penaltySlope(multiplier, now, target))
            assertClose(resultOf(results, 'c'), [now], { relative, name: 'C' })
            assertClose(resultOf(results, 'l'), [reference.penalty(multiplier, now, target)], {
              relative,
              absolute: 1e-14,
              name: 'penalty',
            })
            assertClose(resultOf(results, 'lambdaBar'), [reference.violation(now, target)], { relative, absolute: 1e-15, name: '∂/∂λ' })
            assertClose(
              resultOf(results, 'thetaBar'),
              Object.values(bar).flatMap(({ data }) => [...data]),
              { relative, absolute: 1e-14, name: '∂/∂Θ' },
            )
          },
        ),
        { seed: SEED, numRuns: 30 },
      ),
    )
  })

  it('puts the gates of equation (5) into the rows of A, with gradients, for matrices of several shapes and ranks', () => {
    const matrix = fc
      .record({ r: fc.integer({ min: 1, max: 3 }), k: fc.integer({ min: 2, max: 3 }) })
      .chain(({ r, k }) => fc.record({ A: tensorOf([r, k]), yBar: tensorOf([r, k]), g: tensorOf([r], 0, 1) }))
    return fc.assert(
      fc.asyncProperty(fc.array(matrix, { minLength: 1, maxLength: 12 }), async (matrices) => {
        const gates = matrices.flatMap(({ g }) => Array.from(g.data))
        const named = (name: 'A' | 'yBar') => matrices.map((one, i) => input(`${name}${i}`, one[name].shape, 'float64'))
        const [factors, bars, g] = [named('A'), named('yBar'), input('g', [gates.length], 'float64')]
        const rows = gatedRows(factors, g)
        const value = rows.map((y, i) => reduceSum(mul(y, bars[i] ?? y))).reduce((a, b) => add(a, b))
        const [gBar, ...aBars] = gradient(value, [g, ...factors])
        const entries = (name: string, values: readonly Expression[]) => values.map((one, i) => [`${name}${i}`, one] as const)
        const feeds = matrices.flatMap(({ A, yBar }, i) => [[`A${i}`, feed(A)] as const, [`yBar${i}`, feed(yBar)] as const])
        const results = await evaluate(Object.fromEntries([...entries('rows', rows), ...entries('aBar', aBars), ['gBar', gBar ?? g]]), {
          ...Object.fromEntries(feeds),
          g: { data: Float64Array.from(gates), shape: [gates.length] },
        })
        const close = (name: string, expected: ArrayLike<number>) =>
          assertClose(resultOf(results, name), expected, { relative, absolute: 1e-12, name })
        const gateOf = (i: number, at: number): number => matrices[i]?.g.data[Math.floor(at / (matrices[i]?.A.shape[1] ?? 1))] ?? NaN
        matrices.forEach(({ A, yBar }, i) => {
          close(
            `rows${i}`,
            Float64Array.from(A.data, (a, at) => gateOf(i, at) * a),
          )
          close(
            `aBar${i}`,
            Float64Array.from(yBar.data, (bar, at) => gateOf(i, at) * bar),
          )
        })
        const expected = matrices.flatMap(({ A, yBar, g: ofOne }) =>
          Array.from(ofOne.data, (_, row) => {
            const k = A.shape[1] ?? 1
            return Array.from({ length: k }, (__, j) => (A.data[row * k + j] ?? NaN) * (yBar.data[row * k + j] ?? NaN)).reduce(
              (a, b) => a + b,
            )
          }),
        )
        close('gBar', expected)
      }),
      { seed: SEED, numRuns: 40 },
    )
  })

  it('gives the low-rank update of equation (5), with gradients, in every shape', () =>
    fc.assert(
      fc.asyncProperty(
        lowRankShape.chain(({ n, d, k, r }) =>
          fc.tuple(tensorOf([r, k]), tensorOf([d, r]), tensorOf([r], 0, 1), tensorOf([n, k]), tensorOf([n, d])),
        ),
        async ([A, B, g, x, yBar]) => {
          const shaped = ({ shape }: reference.Tensor, name: string) => input(name, shape, 'float64')
          const [a, b, gates, rows, bar] = [shaped(A, 'A'), shaped(B, 'B'), shaped(g, 'g'), shaped(x, 'x'), shaped(yBar, 'yBar')] as const
          const y = addLowRank(mul(bar, 0), rows, { A: a, B: b, g: gates, scale: 1.5 })
          const [aBar, bBar, gBar, xBar] = gradient(reduceSum(mul(y, bar)), [a, b, gates, rows])
          const outputs = { y, aBar: aBar ?? y, bBar: bBar ?? y, gBar: gBar ?? y, xBar: xBar ?? y }
          const results = await evaluate(outputs, { A: feed(A), B: feed(B), g: feed(g), x: feed(x), yBar: feed(yBar) })
          const close = (name: string, expected: ArrayLike<number>) =>
            assertClose(resultOf(results, name), expected, { relative, absolute: 1e-12, name })
          const pulled = reference.applyIncrementVjp(1.5)({ A, B }, g, x, yBar)
          close('y', reference.applyIncrement(1.5)({ A, B }, g, x).data)
          close('aBar', pulled.A.data)
          close('bBar', pulled.B.data)
          close('gBar', pulled.g.data)
          close('xBar', pulled.x.data)
        },
      ),
      { seed: SEED, numRuns: 12 },
    ))

  it('gives the norms of equation (9) for matrices of equal and unequal shapes, at unit and other norms, with gradients', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.constantFrom([2, 3, 4], [2, 5, 4], [1, 3, 4]).chain(([r, k, d]) =>
            fc.record({
              A: tensorOf([r, k]),
              B: tensorOf([d, r]),
              squared: fc.array(fc.double({ min: 0, max: 3, noNaN: true }), { minLength: r, maxLength: r }),
            }),
          ),
          {
            minLength: 1,
            maxLength: 5,
          },
        ),
        fc.boolean(),
        async (matrices, folded) => {
          const named = (of: 'A' | 'B') => matrices.map((matrix, i) => input(`${of}${i}`, matrix[of].shape, 'float64'))
          const [as, bs] = [named('A'), named('B')]
          const ofA = orthogonality(as, { columns: false })
          const ofB = orthogonality(bs, { columns: true, squaredNorms: folded ? matrices.map(({ squared }) => squared) : null })
          const sum = add(reduceSum(ofA.norms), reduceSum(ofB.norms))
          const bars = gradient(sum, [...as, ...bs])
          const outputs = { sum, a: ofA.inOrder, b: ofB.inOrder, ...Object.fromEntries(bars.map((bar, i) => [`bar${i}`, bar ?? sum])) }
          const feeds = Object.fromEntries(matrices.flatMap(({ A, B }, i) => [[`A${i}`, feed(A)] as const, [`B${i}`, feed(B)] as const]))
          const results = await evaluate(outputs, feeds)
          const close = (name: string, expected: ArrayLike<number>) =>
            assertClose(resultOf(results, name), expected, { relative, absolute: 1e-12, name })
          const norms = (squared: readonly number[]) => (folded ? reference.tensor([squared.length], squared) : undefined)
          close(
            'a',
            matrices.map(({ A }) => reference.orthogonalityOfA(A)),
          )
          close(
            'b',
            matrices.map(({ B, squared }) => reference.orthogonalityOfB(B, norms(squared))),
          )
          const pulled = matrices.map(({ A, B, squared }) => reference.orthogonalityVjp({ A, B }, 1, norms(squared)))
          pulled.forEach(({ A, B }, i) => {
            close(`bar${i}`, A.data)
            close(`bar${matrices.length + i}`, B.data)
          })
        },
      ),
      { seed: SEED, numRuns: 25 },
    ))

  it('gives AdamW with decay, and its projected ascent: λ never falls if its gradient is a square', () => {
    const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    const scalar = (name: string) => input(name, [], 'float64')
    const [p, g, m, v] = [vector('p', 6), vector('g', 6), vector('m', 6), vector('v', 6)]
    const scalars = { rate: scalar('rate'), correction1: scalar('correction1'), correction2: scalar('correction2') }
    const down = adamw(settings)(p, g, { first: m, second: v }, scalars, 0.02)
    const up = adamw(settings)(p, mul(g, g), { first: mul(m, m), second: v }, scalars, 0, 1)
    const outputs = {
      down: down.parameters,
      nextM: down.moments.first,
      nextV: down.moments.second,
      up: maximum(up.parameters, 0),
      gain: add(up.parameters, mul(p, -1)),
    }
    return withGraph(outputs, (run) =>
      fc.assert(
        fc.asyncProperty(
          tensorOf([6]),
          tensorOf([6]),
          tensorOf([6]),
          tensorOf([6], 0, 2),
          fc.integer({ min: 1, max: 2000 }),
          fc.double({ min: 1e-5, max: 0.1, noNaN: true }),
          async (parameter, slope, first, second, step, learningRate) => {
            const results = await run({
              p: feed(parameter),
              g: feed(slope),
              m: feed(first),
              v: feed(second),
              rate: float64([learningRate], []),
              correction1: float64([1 - settings.beta1 ** step], []),
              correction2: float64([1 - settings.beta2 ** step], []),
            })
            const [next, moments] = reference.adamw(settings)(
              parameter,
              slope,
              { m: first, v: second },
              { learningRate, weightDecay: 0.02, step },
            )
            assertClose(resultOf(results, 'down'), next.data, { relative, name: 'parameters' })
            assertClose(resultOf(results, 'nextM'), moments.m.data, { relative, name: 'm' })
            assertClose(resultOf(results, 'nextV'), moments.v.data, { relative, name: 'v' })
            resultOf(results, 'gain').forEach((gain) => expect(gain).toBeGreaterThanOrEqual(0))
            resultOf(results, 'up').forEach((lambda) => expect(lambda).toBeGreaterThanOrEqual(0))
          },
        ),
        { seed: SEED, numRuns: 30 },
      ),
    )
  })
})
