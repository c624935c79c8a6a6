/** Masked language modeling: which tokens are masked, what the model sees in their place, and what it has to predict. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encoderModel } from '../../../accelerated/models/bert/bert.js'
import { packBatch } from '../../../accelerated/models/packing.js'
import { maskedLM } from '../../../accelerated/objectives/maskedLM.js'
import { SEED } from '../../support/seed.js'
import { sizes } from './peft/adapters.js'

const [mask, from, to] = [3, 10, 90]
const model = encoderModel({ ...sizes, vocabularySize: 100 })
const objective = maskedLM(model, { share: 0.15, mask, ordinary: { from, to } })

/** Ids from 100 on occur in no replacement, so that each change shows. */
const example = fc
  .array(fc.integer({ min: 100, max: 999 }), { minLength: 3, maxLength: 40 })
  .map((inputIds) => ({ inputIds, row: inputIds.length }))

/** What the model sees, the places that it predicts (counted over the batch), and their labels. */
const prepared = (examples: readonly { readonly inputIds: readonly number[]; readonly row: number }[], step: number) => {
  const batch = objective.prepare(examples, { seed: SEED, step })
  const packed = packBatch(batch.texts, model.firstPosition, 'float64')
  const feeds = batch.feeds(packed, batch.weight, 'float64')
  const numbers = (name: string): readonly number[] => Array.from(feeds[name]?.data ?? [], Number)
  return {
    ...batch,
    packed,
    seen: batch.texts.flatMap(({ inputIds }) => Array.from(inputIds)),
    places: numbers('tokenOfRow'),
    labels: numbers('labels'),
    weight: batch.weight,
    lossWeight: numbers('lossWeight')[0],
  }
}

describe(`masking (seed ${SEED})`, () => {
  it('changes only predicted tokens, whose labels are the original ones, and never the first or the last of a text', () =>
    fc.assert(
      fc.property(fc.array(example, { minLength: 1, maxLength: 4 }), fc.nat(1000), (examples, step) => {
        const { seen, places, labels, weight, lossWeight } = prepared(examples, step)
        const original = examples.flatMap(({ inputIds }) => inputIds)
        const ends = new Set<number>()
        let end = 0
        for (const { inputIds } of examples) {
          ends.add(end)
          end += inputIds.length
          ends.add(end - 1)
          expect(
            places.some((place) => place >= end - inputIds.length && place < end),
            'one of each text',
          ).toBe(true)
        }
        expect(labels).toEqual(places.map((place) => original[place]))
        expect(places.filter((place) => ends.has(place))).toEqual([])
        expect(new Set(places).size).toBe(places.length)
        seen.forEach((id, place) => {
          if (!places.includes(place)) expect(id).toBe(original[place])
          else expect(id === mask || id === original[place] || (id >= from && id < to)).toBe(true)
        })
        expect([weight, lossWeight]).toEqual([places.length, 1 / places.length])
      }),
      { seed: SEED, numRuns: 100 },
    ))

  it('masks 80 % of the predicted tokens, replaces 10 %, keeps 10 %, and draws anew in each step and row', () => {
    const inputIds = Array.from({ length: 2_000 }, (_, i) => 100 + i)
    const drawn = [0, 1].flatMap((step) => [1, 2].map((row) => prepared([{ inputIds, row }], step)))
    expect(new Set(drawn.map(({ places }) => places.join())).size).toBe(4)
    const all = drawn.flatMap(({ seen, places }) => places.map((place) => ({ id: seen[place] ?? NaN, original: inputIds[place] })))
    const count = all.length
    expect(Math.abs(count / 8_000 - 0.15)).toBeLessThan(5 * Math.sqrt((0.15 * 0.85) / 8_000)) // five standard deviations
    const shareOf = (holds: (one: (typeof all)[number]) => boolean): number => all.filter(holds).length / count
    for (const [share, expected] of [
      [shareOf(({ id }) => id === mask), 0.8],
      [shareOf(({ id }) => id >= from && id < to), 0.1],
      [shareOf(({ id, original }) => id === original), 0.1],
    ] as const)
      expect(Math.abs(share - expected)).toBeLessThan(5 * Math.sqrt((expected * (1 - expected)) / count))
  })

  it('gives each text the mean of its own losses', () => {
    const examples = [5, 9, 30].map((length) => ({ inputIds: Array.from({ length }, (_, i) => 100 + i), row: length }))
    const { read, packed, places } = prepared(examples, 4)
    const losses = places.map((_, i) => (i + 1) ** 2)
    const answers = read({ losses: Float64Array.from(losses) }, packed)
    let at = 0
    for (const [i, { loss, tokens }] of answers.entries()) {
      const own = losses.slice(at, at + tokens)
      expect(loss).toBeCloseTo(own.reduce((a, b) => a + b, 0) / tokens, 12)
      at += tokens
      expect(places.slice(at - tokens, at).every((place) => place < packed.firstTokens[i]! + examples[i]!.inputIds.length)).toBe(true)
    }
    expect(at).toBe(places.length)
  })
})
