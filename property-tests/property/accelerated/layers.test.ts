/** A soft cap and a cross-entropy against their formulas, for numbers that agreement/step does not draw. */
import fc from 'fast-check'
import { describe, it } from 'vitest'
import { input, matMul } from '../../../accelerated/graph/operators.js'
import { softCapped } from '../../../accelerated/models/layers/gelu.js'
import { crossEntropies, crossEntropySum } from '../../../accelerated/objectives/losses.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { evaluate, float64, int32, resultOf, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'
import { sameFormulaFloat64 } from '../../support/tolerance.js'

const options = { seed: SEED, numRuns: 20 }
const numbers = (count: number, size = 2): fc.Arbitrary<number[]> => evenlyMany(-size, size)(count)
const close = (name: string, actual: readonly number[], expected: readonly number[]): void =>
  assertClose(actual, expected, { relative: sameFormulaFloat64, absolute: sameFormulaFloat64, name })
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
})
