/** Examples and their tokens in typed arrays: they come back as they were, in a few bytes each. */
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { exampleStore } from '../../../finetuning/data/compactExamples.js'
import type { Example } from '../../../finetuning/data/index.js'
import { tokenize } from '../../../finetuning/tasks/sequences/tokens.js'
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

/** Ids as long as the text, those after its half of a second text. */
const tokenizer: Pick<Tokenizer, 'encode'> = {
  encode: (text) => ({
    inputIds: Array.from(text, (letter, i) => (letter.charCodeAt(0) * 7919 + i) % 60_000),
    tokenTypeIds: Array.from(text, (_, i) => (2 * i < text.length ? 0 : 1)),
  }),
}
const labeled = (texts: readonly string[]) => texts.map((text, i) => ({ text, label: i % 2, row: i + 2 }))

it('return encodings with label and row, for a small and a large vocabulary', () => {
  const texts = Array.from({ length: 17_000 }, (_, i) => 'ab cd'.repeat(1 + (i % 20)))
  for (const vocabulary of [60_000, 120_000]) {
    const examples = tokenize(tokenizer, vocabulary, labeled(texts), 512)
    expect(examples.length).toBe(texts.length)
    texts.forEach((text, i) => {
      const { inputIds, tokenTypeIds, labels, ...rest } = examples.at(i) ?? {}
      expect({ inputIds: Array.from(inputIds ?? []), tokenTypeIds: Array.from(tokenTypeIds ?? []), ...rest }).toEqual({
        ...tokenizer.encode(text, undefined, 512),
        label: i % 2,
        row: i + 2,
      })
    })
  }
})

it.each([65_536, 65_537, 120_000, 262_144])('keep the last id of a vocabulary of %i', (vocabulary) => {
  const last: typeof tokenizer = { encode: () => ({ inputIds: [0, vocabulary - 1], tokenTypeIds: [0, 0] }) }
  expect(Array.from(tokenize(last, vocabulary, labeled(['a']), 512).at(0)?.inputIds ?? [])).toEqual([0, vocabulary - 1])
})

it('take two bytes per token and a few per example', () => {
  const texts = labeled(Array.from({ length: 2 ** 15 }, () => 'x'.repeat(100)))
  const { least, most } = bytesHeld(() => tokenize(tokenizer, 60_000, texts, 512))
  expect(least / texts.length).toBeLessThan(2 * 100 + 100)
  expect(most / texts.length).toBeGreaterThan(2 * 100)
})
