/** GELU, linear layers and losses against their formulas. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { input, matMul } from '../../../accelerated/graph/operators.js'
import { lowRankWrap, type LowRankFactors } from '../../../accelerated/methods/lowRank.js'
import { plainHost } from '../../../accelerated/models/host.js'
import { gelu } from '../../../accelerated/graph/operators.js'
import { geluTanh, softCapped } from '../../../accelerated/models/layers/gelu.js'
import { crossEntropies, crossEntropySum, squaredErrorSum } from '../../../accelerated/objectives/losses.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { evaluate, float64, int32, resultOf, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'
import { sameFormulaFloat64 } from '../../support/tolerance.js'

const options = { seed: SEED, numRuns: 20 }
const numbers = (count: number, size = 2): fc.Arbitrary<number[]> => evenlyMany(-size, size)(count)
const close = (name: string, actual: readonly number[], expected: readonly number[]): void =>
  assertClose(actual, expected, { relative: sameFormulaFloat64, absolute: sameFormulaFloat64, name })
const upTo = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)
const sum = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0)

describe(`layers (seed ${SEED})`, () => {
  it('cap the scores of a product to float64, by a cap that float32 does not hold', async () => {
    const product = matMul(input('a', [2, 3], 'float64'), input('b', [3, 2], 'float64'))
    const feeds = { a: float64([1, 2, 3, 4, 5, 6], [2, 3]), b: float64([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [3, 2]) }
    const y = resultOf(await evaluate({ y: softCapped(product, 30) }, feeds), 'y')
    close(
      'soft cap',
      y,
      [2.2, 2.8, 4.9, 6.4].map((x) => 30 * Math.tanh(x / 30)),
    )
  })

  it('compute GELU as x Φ(x)', async () => {
    const { y } = await evaluate({ y: gelu(input('x', [7], 'float64')) }, { x: float64([-4, -2, -1, 0, 1, 2, 4]) })
    // x · (1 + erf(x / √2)) / 2 by mpmath 1.3.0
    close(
      'gelu',
      Array.from(y as Float64Array),
      [-0.0001266849673324797, -0.04550026389635842, -0.15865525393145705, 0.0, 0.8413447460685429, 1.9544997361036416, 3.9998733150326675],
    )
  })

  it('approximate GELU by tanh to 5e-4', async () => {
    const x = float64(upTo(81).map((i) => (i - 40) / 8))
    const results = await evaluate({ exact: gelu(input('x', [81], 'float64')), approximate: geluTanh(input('x', [81], 'float64')) }, { x })
    assertClose(resultOf(results, 'approximate'), resultOf(results, 'exact'), { relative: 0, absolute: 5e-4 })
    close(
      'by its formula',
      resultOf(results, 'approximate'),
      Array.from(x.data, Number).map((value) => 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)))),
    )
  })

  it('compute x Wᵀ + b, plus scale · B (g ⊙ A x) for a layer with an adapter', () => {
    const x = input('x', ['tokens', 3], 'float64')
    const [A, B, g] = [input('A', [2, 3], 'float64'), input('B', [4, 2], 'float64'), input('g', [2], 'float64')]
    const plain = plainHost((name) => input(name, name.endsWith('.bias') ? [4] : [4, 3], 'float64'))
    const adapted = (factors: Omit<LowRankFactors, 'scale'>) => lowRankWrap(new Map([['own', { ...factors, scale: 0.5 }]]), 0)(plain)
    const outputs = {
      plain: plain.linear('own', x),
      gated: adapted({ A, B, g }).linear('own', x),
      open: adapted({ A, B, g: null }).linear('own', x),
      other: adapted({ A, B, g }).linear('other', x),
    }
    const drawn = fc
      .integer({ min: 1, max: 4 })
      .chain((tokens) => fc.tuple(numbers(3 * tokens), numbers(12), numbers(4), numbers(6), numbers(8), numbers(2)))
    return withGraph(outputs, (run) =>
      fc.assert(
        fc.asyncProperty(drawn, async ([xs, W, b, a, bs, gs]) => {
          const tokens = xs.length / 3
          const results = await run({
            x: float64(xs, [tokens, 3]),
            'own.weight': float64(W, [4, 3]),
            'own.bias': float64(b),
            'other.weight': float64(
              W.map((w) => -w),
              [4, 3],
            ),
            'other.bias': float64(b.map((value) => value + 1)),
            A: float64(a, [2, 3]),
            B: float64(bs, [4, 2]),
            g: float64(gs),
          })
          const at = (m: readonly number[], columns: number, i: number, j: number): number => m[i * columns + j] ?? NaN
          const expected = (gates: readonly number[], sign = 1, more = 0): readonly number[] =>
            upTo(tokens).flatMap((t) =>
              upTo(4).map(
                (i) =>
                  (b[i] ?? NaN) +
                  more +
                  sign * sum(upTo(3).map((k) => at(W, 3, i, k) * at(xs, 3, t, k))) +
                  0.5 *
                    sum(
                      upTo(2).map((r) => at(bs, 2, i, r) * (gates[r] ?? NaN) * sum(upTo(3).map((k) => at(a, 3, r, k) * at(xs, 3, t, k)))),
                    ),
              ),
            )
          close('plain', resultOf(results, 'plain'), expected([0, 0]))
          close('gated', resultOf(results, 'gated'), expected(gs))
          close('open', resultOf(results, 'open'), expected([1, 1]))
          close('other', resultOf(results, 'other'), expected([0, 0], -1, 1))
        }),
        options,
      ),
    )
  })

  it('compute the cross-entropy −log p(label) per row and summed, also for large logits', () => {
    const [logits, labels] = [input('logits', ['batch', 3], 'float64'), input('labels', ['batch'], 'int32')]
    const outputs = { losses: crossEntropies(logits, labels), loss: crossEntropySum(logits, labels) }
    const drawn = fc
      .integer({ min: 1, max: 5 })
      .chain((batch) => fc.tuple(numbers(3 * batch, 8), fc.array(fc.integer({ min: 0, max: 2 }), { minLength: batch, maxLength: batch })))
    return withGraph(outputs, (run) =>
      fc.assert(
        fc.asyncProperty(drawn, fc.constantFrom(0, 1000, -1000), async ([logits, labels], shift) => {
          const results = await run({
            logits: float64(
              logits.map((value) => value + shift),
              [labels.length, 3],
            ),
            labels: int32(labels),
          })
          const expected = labels.map((label, i) => {
            const row = logits.slice(3 * i, 3 * i + 3)
            return Math.log(sum(row.map(Math.exp))) - (row[label] ?? NaN)
          })
          const tolerance = { relative: 1e-11, absolute: 1e-11 } // adding 1000 costs the logits three digits
          assertClose(resultOf(results, 'losses'), expected, { ...tolerance, name: 'cross-entropies' })
          assertClose(resultOf(results, 'loss'), [sum(expected)], { ...tolerance, name: 'cross-entropy' })
        }),
        options,
      ),
    )
  })

  it('compute the squared error Σ (output − label)²', async () => {
    const results = await evaluate(
      { loss: squaredErrorSum(input('outputs', ['batch', 1], 'float64'), input('labels', ['batch'], 'float64')) },
      { outputs: float64([1, 2, 4], [3, 1]), labels: float64([1, 0, 7]) },
    )
    expect(resultOf(results, 'loss')).toEqual([13])
  })
})
