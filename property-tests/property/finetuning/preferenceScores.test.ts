/** Scores of preferences against the papers' formulas, and the laws that they follow. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  hasReference,
  preferenceLosses,
  type PreferenceAnswer,
  type PreferenceSettings,
} from '../../../finetuning/tasks/preferences/objective.js'
import { scorePreferences } from '../../../finetuning/tasks/preferences/metrics.js'
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
