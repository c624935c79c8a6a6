/** Scores of preferences against the papers' formulas, and the laws that they follow. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { input, reduceSum } from '../../../accelerated/graph/operators.js'
import {
  hasReference,
  pairLosses,
  preferenceLosses,
  surest,
  type PreferenceAnswer,
  type PreferenceSettings,
} from '../../../finetuning/tasks/preferences/objective.js'
import { scorePreferences } from '../../../finetuning/tasks/preferences/metrics.js'
import { evaluate, float32, resultOf } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'

const logProbability = fc.integer({ min: -4000, max: -1 }).map((n) => n / 100)
const answer: fc.Arbitrary<PreferenceAnswer> = fc.record({
  chosen: logProbability,
  rejected: logProbability,
  baseChosen: logProbability,
  baseRejected: logProbability,
})
const settings: fc.Arbitrary<PreferenceSettings> = fc.record({
  loss: fc.constantFrom(...preferenceLosses),
  beta: fc.integer({ min: 1, max: 30 }).map((n) => n / 10),
  labelSmoothing: fc.integer({ min: 0, max: 4 }).map((n) => n / 10),
  gamma: fc.integer({ min: 0, max: 20 }).map((n) => n / 10),
})

describe(`scores of preferences (seed ${SEED})`, () => {
  it('are means over the pairs, with rewards against the base model where the loss has it', () =>
    fc.assert(
      fc.property(settings, fc.array(answer, { minLength: 1, maxLength: 6 }), (given, answers) => {
        const scores = scorePreferences(given, answers)
        const each = answers.map((one) => scorePreferences(given, [one]))
        for (const name of ['accuracy', 'loss', 'margin', 'chosenReward', 'rejectedReward'] as const)
          expect(scores[name]).toBeCloseTo(each.reduce((sum, one) => sum + one[name], 0) / answers.length, 8)
        for (const [i, { chosen, rejected, baseChosen, baseRejected }] of answers.entries()) {
          const [a, b] = hasReference(given.loss) ? [chosen - baseChosen, rejected - baseRejected] : [chosen, rejected]
          expect(each[i]?.chosenReward).toBeCloseTo(given.beta * a, 10)
          expect(each[i]?.margin).toBeCloseTo(given.beta * (a - b), 10)
          expect(each[i]?.accuracy).toBe(a === b ? 0.5 : a > b ? 1 : 0)
        }
      }),
      { seed: SEED, numRuns: 200 },
    ))

  it('have finite losses, and an exchange of the answers mirrors accuracy and margin', () =>
    fc.assert(
      fc.property(settings, answer, (given, one) => {
        const exchanged = {
          chosen: one.rejected,
          rejected: one.chosen,
          baseChosen: one.baseRejected,
          baseRejected: one.baseChosen,
        }
        const [scores, mirrored] = [scorePreferences(given, [one]), scorePreferences(given, [exchanged])]
        expect(Number.isFinite(scores.loss)).toBe(true)
        expect(scores.accuracy + mirrored.accuracy).toBe(1)
        expect(scores.margin).toBeCloseTo(-mirrored.margin, 10)
      }),
      { seed: SEED, numRuns: 200 },
    ))

  it('has the loss log 2 of a model that is its reference, with dpo', () => {
    const same = { chosen: -3, rejected: -7, baseChosen: -3, baseRejected: -7 }
    const { loss, accuracy, margin } = scorePreferences({ loss: 'dpo', beta: 0.1, labelSmoothing: 0, gamma: 0 }, [same])
    expect([loss, accuracy, margin]).toEqual([Math.log(2), 0.5, 0])
    expect(() => scorePreferences({ loss: 'dpo', beta: 0.1, labelSmoothing: 0, gamma: 0 }, [])).toThrow('expected at least one pair')
  })
})

describe('orpo of sure answers', () => {
  // Hong et al. (2024), equation (6), in float64: log p at most −2⁻²⁰ in the odds, since float32 rounds that of a sure answer to 0 or above
  const logComplement = (x: number): number => Math.log(-Math.expm1(Math.min(x, surest)))
  const byHand = (chosen: number, rejected: number): number =>
    -chosen + 0.3 * Math.log1p(Math.exp(rejected - chosen + logComplement(chosen) - logComplement(rejected)))
  const [chosen, rejected] = [
    [0, 7.6e-6, -1e-5, -3, 2e-6],
    [-4, 0, 3e-6, -1e-6, -2e-6],
  ] as const

  it('is finite, as its gradient is, and is its formula within the rounding of float32', async () => {
    const [x, y] = [input('chosen', ['pairs'], 'float32'), input('rejected', ['pairs'], 'float32')]
    const losses = pairLosses({ loss: 'orpo', beta: 0.3, labelSmoothing: 0, gamma: 0 }, [x, y], null)
    const [dx, dy] = gradient(reduceSum(losses), [x, y])
    const results = await evaluate(
      { losses, dx: dx as Expression, dy: dy as Expression },
      { chosen: float32(chosen), rejected: float32(rejected) },
    )
    // 1 − e^x has 2⁻²⁴ / 2⁻²⁰ of relative error at its smallest
    resultOf(results, 'losses').forEach((loss, i) =>
      expect(Math.abs(loss - byHand(chosen[i] ?? NaN, rejected[i] ?? NaN))).toBeLessThan(0.02),
    )
    expect([...resultOf(results, 'dx'), ...resultOf(results, 'dy')].every(Number.isFinite)).toBe(true)
  })

  it('scores an evaluation with a sure answer by a finite loss', () => {
    const answers = chosen.map((one, i) => ({ chosen: one, rejected: rejected[i] ?? NaN, baseChosen: 0, baseRejected: 0 }))
    expect(scorePreferences({ loss: 'orpo', beta: 0.3, labelSmoothing: 0, gamma: 0 }, answers).loss).toSatisfy(Number.isFinite)
  })
})
