/** Outputs of an evaluation's batch travel as one vector: the same numbers come back under the same names. */
import { answerMicroBatch, splitOutputs, spreadBatches, type AnswersExecutor } from '../../../accelerated/training/microBatchGradient.js'
import fc from 'fast-check'
import { expect, it } from 'vitest'

const outputs = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.float32Array({ maxLength: 9 }), { maxKeys: 5 })

it('come back as they were, bit for bit', () => {
  fc.assert(
    fc.property(outputs, (results) => {
      const part = answerMicroBatch({ results, tokens: 5 }, 'float32')
      expect(part.tokens).toBe(5)
      expect(splitOutputs(part)).toEqual({ ...results })
    }),
  )
})

it('are found in any order, each with its batch', async () => {
  const backwards: AnswersExecutor = async function* ({ step, parts, compute, fits }) {
    expect([step, parts]).toEqual([7, 3])
    for (let part = parts - 1; part >= 0; part--) {
      const found = await compute(part)
      expect(fits(part, found)).toBe(true)
      yield [part, found]
    }
  }
  const resultsOf = (batch: number) => ({ logits: Float32Array.of(batch, -batch), losses: Float32Array.of(0.5) })
  const source = { step: 7, phase: null, parameters: Float32Array.of(1), progress: { step: 7, steps: 7 } }
  const found: unknown[] = []
  for await (const batch of spreadBatches(
    backwards,
    source,
    'float32',
  )({
    count: 3,
    compute: async (batch) => ({ results: resultsOf(batch), tokens: 1 }),
    fits: (batch, results) => JSON.stringify(results) === JSON.stringify(resultsOf(batch)),
  }))
    found.push(batch)
  expect(found).toEqual([2, 1, 0].map((batch) => [batch, resultsOf(batch)]))
})
