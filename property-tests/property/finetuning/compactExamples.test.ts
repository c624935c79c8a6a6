/** Stored examples return exactly the stored texts, and take few bytes besides them. */
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Example } from '../../../finetuning/data/index.js'
import { exampleStore } from '../../../finetuning/data/compactExamples.js'
import { bytesHeld } from '../../support/memory.js'

const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('é', 'ÿ', 'Ā', '\ud83d', '\ude00', '\0', '\ufeff') }),
  fc.integer({ min: 0, max: 700_000 }).map((length) => 'long '.repeat(length / 5)), // longer than one block
)
const example: fc.Arbitrary<Example> = fc.record(
  {
    text,
    textPair: text,
    label: fc.oneof(fc.nat(), fc.double()),
    labels: fc.array(fc.nat(20)),
    row: fc.nat(2 ** 31 - 1),
  },
  { requiredKeys: ['text', 'label', 'row'] },
)

it('return the stored texts, including half surrogate pairs and empty second texts', () => {
  fc.assert(
    fc.property(fc.array(example, { maxLength: 30 }), (given) => {
      const stored = given.map(exampleStore())
      expect(stored.map((one) => one.toJSON())).toEqual(given)
      expect(stored.map((one) => JSON.stringify(one))).toEqual(given.map((one) => JSON.stringify(one)))
    }),
    { numRuns: 60 },
  )
})

it('keep rows separate across blocks, and accept a label later', () => {
  const store = exampleStore()
  const stored = Array.from({ length: 40_000 }, (_, i) => store({ text: `text ${i}`, label: NaN, row: i + 2 }))
  stored.forEach((one, i) => {
    one.label = i / 2
  })
  for (const [i, one] of stored.entries()) {
    if (one.text !== `text ${i}` || one.textPair !== undefined || one.label !== i / 2 || one.row !== i + 2)
      expect.fail(`row ${i}: ${JSON.stringify(one)}`)
  }
})

it('take at most a hundred bytes besides one byte per character', () => {
  const rows = 50_000
  const { least, most } = bytesHeld(() => {
    const store = exampleStore()
    return Array.from({ length: rows }, (_, i) => store({ text: 'x'.repeat(100 + (i % 2)), label: 0, row: i }))
  })
  expect(least / rows).toBeLessThan(100 + 100)
  expect(most / rows).toBeGreaterThan(100)
})
