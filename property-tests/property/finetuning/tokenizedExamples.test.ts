/** Tokenized examples return the encodings of their texts and take a few bytes per token. */
import { expect, it } from 'vitest'
import type { Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { tokenize } from '../../../finetuning/tasks/sequences/tokens.js'
import { bytesHeld } from '../../support/memory.js'

/** Ids as long as the text, those after its half of a second text. */
const tokenizer: Pick<Tokenizer, 'encode'> = {
  encode: (text) => ({
    inputIds: Array.from(text, (letter, i) => (letter.charCodeAt(0) * 7919 + i) % 60_000),
    tokenTypeIds: Array.from(text, (_, i) => (2 * i < text.length ? 0 : 1)),
  }),
}
const labeled = (texts: ReadonlyArray<string>) => texts.map((text, i) => ({ text, label: i % 2, row: i + 2 }))

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
