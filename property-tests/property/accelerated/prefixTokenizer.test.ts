/** The first tokens of a text are those of the library's tokenizer on the whole text, at a cost in proportion to the tokens. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PreTrainedTokenizer } from '@huggingface/transformers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { prefixTokenizer } from '../../../accelerated/checkpoints/tokenizer/prefixTokenizer.js'
import { wordPatterns } from '../../../accelerated/checkpoints/tokenizer/tokenizerSchema.js'
import { parseTokenizerFile } from '../../../accelerated/checkpoints/tokenizer/tokenizerFile.js'
import { longestFirst, truncatedPair, loadTokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import { folderOf } from '../../golden/golden.js'
import { SEED } from '../../support/seed.js'

const open = (folder: string, change: (json: Record<string, unknown>) => void = () => undefined) => {
  const json = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8')) as Record<string, unknown>
  change(json)
  const file = parseTokenizerFile(JSON.stringify(json), 'tokenizer.json', 1e6, 'config.json')
  const library = new PreTrainedTokenizer(file, {})
  let characters = 0
  const idsOf = (text: string): readonly number[] => {
    characters += text.length
    return library.encode(text, { add_special_tokens: false })
  }
  return { idsOf, ids: prefixTokenizer(idsOf, file, {}), tokenized: () => characters }
}

const prefixed = (json: Record<string, unknown>): void => {
  json['pre_tokenizer'] = { type: 'ByteLevel', add_prefix_space: true, use_regex: true }
}
const byteLevel = (regex: boolean) => ({ type: 'ByteLevel', add_prefix_space: false, use_regex: regex })
const cutBy =
  (...pretokenizers: readonly object[]) =>
  (json: Record<string, unknown>): void => {
    json['pre_tokenizer'] = { type: 'Sequence', pretokenizers }
  }
const wordsOf = (Regex: string | undefined) =>
  cutBy({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false }, byteLevel(false))
const kinds = [
  ['the embedded byte pairs', open(embeddedModel)],
  ['byte pairs with a space before the first word', open(embeddedModel, prefixed)],
  ["SmolLM's cuts", open(embeddedModel, cutBy({ type: 'Digits', individual_digits: true }, byteLevel(true)))],
  ...Object.entries(wordPatterns).map(([kind, words]) => [`the cuts of ${kind}`, open(embeddedModel, wordsOf(words))] as const),
  ['the golden RoBERTa', open(folderOf('roberta'))],
  ['the golden BERT', open(folderOf('bert'))],
] as const

const blank = fc.constantFrom(' ', ' ', ' ', ' ', '  ', '\t', '\n', ' \u00a0', '\u3000', ' \u0301', ' \u0085', '\ufeff')
const word = fc.oneof(
  fc.constantFrom(
    'the',
    'film',
    "isn't",
    'good',
    'Σας',
    'ΟΔΟΣ',
    '東京',
    'naïve',
    '1999',
    '3rd!',
    '<s>',
    '<mask>',
    '[SEP]',
    '…',
    '🎬',
    'x'.repeat(300),
  ),
  fc.string({ unit: 'grapheme', maxLength: 8 }),
  fc.string({ unit: 'binary', maxLength: 4 }),
)
const text = fc.array(fc.tuple(word, blank), { maxLength: 30 }).map((parts) => parts.flat().join(''))

describe(`the first tokens, seed ${SEED}`, () => {
  it.each(kinds)('are those of the whole text: %s', (_name, { idsOf, ids }) => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 40 }), (given, most) => {
        expect(ids(given, most).slice(0, most)).toEqual(idsOf(given).slice(0, most))
        expect(ids(given, Infinity)).toEqual(idsOf(given))
      }),
      { seed: SEED, numRuns: 300 },
    )
  })

  it.each(kinds)('are those of the whole text for a single long word: %s', (_name, { idsOf, ids }) => {
    const letters = fc.array(fc.constantFrom('a', 'b', 'th', 'e', 'ing', 'q', '9', 'é'), { minLength: 200, maxLength: 400 })
    fc.assert(
      fc.property(letters, fc.constantFrom('', ' '), (parts, between) => {
        const long = Array.from({ length: 60 }, () => parts.join(between)).join(between)
        expect(ids(long, 14).slice(0, 14)).toEqual(idsOf(long).slice(0, 14))
      }),
      { seed: SEED, numRuns: 8 },
    )
  })

  it.each(kinds.slice(0, 5))('cost the same for any length of the text: %s', (_name, { ids, tokenized }) => {
    const cost = (given: string): number => {
      const before = tokenized()
      ids(given, 14)
      return tokenized() - before
    }
    for (const piece of ['a', 'ab ', '. ']) expect(cost(piece.repeat(2_000_000)), piece).toBeLessThan(200_000)
  })
})

describe('a text', () => {
  it('is marked as truncated exactly where it has more tokens than there is room for', async () => {
    const { encode } = await loadTokenizer(embeddedModel, (await openModelFolder(embeddedModel)).model)
    const full = kinds[0][1].idsOf
    for (let words = 1; words <= 12; words++) {
      const text = 'good '.repeat(words).trim()
      for (let maxLength = 3; maxLength <= 16; maxLength++)
        expect(encode(text, undefined, maxLength).truncated ?? false, `${words} words in ${maxLength}`).toBe(
          full(text).length > maxLength - 2,
        )
    }
  })
})

describe('a pair of texts', () => {
  it('is cut to equal halves of an even room without tokenizing the whole of either', () => {
    const longest = (room: number): number => {
      let most = 0
      const ids = (text: string, count: number): readonly number[] => {
        most = Math.max(most, count)
        return Array.from(text.slice(0, count), (letter) => letter.charCodeAt(0))
      }
      const { kept, isTruncated } = truncatedPair(ids, 'a'.repeat(5_000), 'b'.repeat(4_000), room)
      expect([kept.map(({ length }) => length), isTruncated]).toEqual([[Math.ceil(room / 2), room >> 1], true])
      return most
    }
    expect([longest(60), longest(61)]).toEqual([61, 31_744])
  })

  it('is truncated by the lengths of its whole texts, without tokenizing more than that takes', async () => {
    const { encode } = await loadTokenizer(embeddedModel, (await openModelFolder(embeddedModel)).model)
    const full = kinds[0][1].idsOf
    const sized = fc.array(fc.constantFrom('good', 'film', 'x', '.'), { minLength: 1, maxLength: 60 }).map((words) => words.join(' '))
    fc.assert(
      fc.property(sized, sized, fc.integer({ min: 6, max: 30 }), (a, b, maxLength) => {
        const [idsA, idsB] = [full(a), full(b)]
        const [lengthA, lengthB] = longestFirst(idsA.length, idsB.length, maxLength - 4)
        const { inputIds, truncated = false } = encode(a, b, maxLength)
        expect(truncated).toBe(idsA.length + idsB.length > maxLength - 4)
        expect(inputIds.slice(1, 1 + lengthA)).toEqual(idsA.slice(0, lengthA))
        expect(inputIds.slice(3 + lengthA, -1)).toEqual(idsB.slice(0, lengthB))
      }),
      { seed: SEED, numRuns: 100 },
    )
  })
})
