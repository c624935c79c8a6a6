/** Texts: normalizers, kinds of tokenizers, and truncation. */
import { corpusBleu } from '../../../evaluation/bleu/corpusBleu.js'
import { streamedText } from '../../../accelerated/generation/streamedText.js'
import type { Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { decoderTokenizer, embeddedTokenizer, fixtureTokenizer, sentence, times } from '../made.js'
import type { Grown } from '../measured.js'

const tokenizing = (
  what: string,
  open: () => Promise<Tokenizer>,
  text = (size: number): string => sentence(1, size),
  more: Partial<Grown> = {},
): Grown => ({
  what: `tokenize a text, ${what}`,
  of: 'words',
  from: 8_000,
  prepare: async (size) => {
    const { ids } = await open()
    const whole = text(size)
    return () => ids(whole)
  },
  ...more,
})

const embedded = async (): Promise<Tokenizer> => (await embeddedTokenizer()).tokenizer
const withoutBlanks = (size: number): string => sentence(1, size).replaceAll(' ', '')

/** A text that is not cut into words is one word. */
const oneQueue = { bound: { exponent: 1.3, reason: 'all merges of a word wait in one queue: n log n, and too large for caches' } }

export const texts: ReadonlyArray<Grown> = [
  tokenizing('byte pairs of bytes', embedded),
  tokenizing('byte pairs, llama2', () => decoderTokenizer('llama2'), undefined, oneQueue),
  tokenizing('byte pairs, llama3', () => decoderTokenizer('llama3')),
  tokenizing('unigram', () => fixtureTokenizer('xlm-roberta')),
  tokenizing('unigram with a normalizer', () => fixtureTokenizer('deberta-v2')),
  tokenizing('words', () => fixtureTokenizer('bert')),
  tokenizing('byte pairs of bytes, without blanks', embedded, withoutBlanks),
  tokenizing('byte pairs, llama2, without blanks', () => decoderTokenizer('llama2'), withoutBlanks, oneQueue),
  tokenizing('unigram, without blanks', () => fixtureTokenizer('xlm-roberta'), withoutBlanks),
  tokenizing('blanks alone', embedded, (size) => ' '.repeat(5 * size), oneQueue),
  tokenizing('one letter', embedded, (size) => 'a'.repeat(5 * size), oneQueue),
  tokenizing('special tokens', embedded, (size) => '</s>'.repeat(size)),
  tokenizing(
    'combining marks',
    () => fixtureTokenizer('deberta-v2'),
    (size) => `a${'\u0301'.repeat(5 * size)}`,
  ),
  {
    what: 'truncate a text to 64 tokens',
    of: 'words',
    from: 4_000,
    prepare: async (size) => {
      const { encode } = await embedded()
      const whole = sentence(1, size)
      return () => times(500, () => encode(whole, undefined, 64))
    },
  },
  {
    what: 'truncate a pair of texts to 64 tokens',
    of: 'words',
    from: 4_000,
    prepare: async (size) => {
      const { encode } = await embedded()
      const [first, second] = [sentence(1, size), sentence(2, size)]
      return () => times(20, () => encode(first, second, 64))
    },
  },
  {
    what: 'decode a text',
    of: 'tokens',
    from: 8_000,
    prepare: async (size) => {
      const { ids, decode } = await decoderTokenizer('llama2')
      const tokens = ids(sentence(1, size))
      return () => decode(tokens)
    },
  },
  {
    what: 'stream a text',
    of: 'tokens',
    from: 4_000,
    prepare: async (size) => {
      const { ids, decode } = await decoderTokenizer('llama2')
      const tokens = ids(sentence(1, size)).slice(0, size)
      return () => {
        const stream = streamedText(decode, ['### End'], [])
        for (const token of tokens) stream.push(token)
      }
    },
  },
  {
    what: 'BLEU',
    of: 'sentences',
    from: 2_000,
    prepare: async (size) => {
      const [hypotheses, references] = [times(size, (i) => sentence(i, 20)), times(size, (i) => sentence(i, 21))]
      return () => corpusBleu(hypotheses, [references])
    },
  },
]
