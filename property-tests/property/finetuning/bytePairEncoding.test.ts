/** The embedded model's tokenizer and corpus: against the definition of the encoding, transformers.js, and worked examples. */
import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AutoTokenizer, env } from '@huggingface/transformers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readSentences } from '../../../finetuning/data/sentiment.js'
import {
  corpusFromParagraphs,
  excludedForms,
  normalForm,
  readCorpus,
  restoreReview,
  restoreWikiText,
} from '../../../scripts/embeddedModel/corpus.js'
import { SEED } from '../../support/seed.js'

const embedded = fileURLToPath(new URL('../../../finetuning/embedded/model', import.meta.url))

describe("transformers.js, reading the embedded model's files", () => {
  const load = async () => {
    env.allowRemoteModels = false
    env.localModelPath = join(embedded, '..')
    const theirs = await AutoTokenizer.from_pretrained(basename(embedded))
    const { model } = JSON.parse(readFileSync(join(embedded, 'tokenizer.json'), 'utf8')) as { readonly model: Encoding }
    const ids = (text: string, pair?: string): readonly number[] =>
      (theirs(text, { ...(pair === undefined ? {} : { text_pair: pair }), return_tensor: false }) as { input_ids: number[] }).input_ids
    return { defined: (text: string) => idsByDefinition(model, text), mask: Object.keys(model.vocab).length - 1, ids }
  }

  it('gives the ids of the definition between <s> and </s>', async () => {
    const { defined, ids } = await load()
    const texts = [
      'Wow... Loved this place.',
      ' two  blanks\n\tand tabs ',
      "I'll say it's 10/10!!",
      'Café “naïve” 日本語 🙂',
      'ALL CAPS',
      '',
    ]
    for (const text of texts) expect(ids(text)).toEqual([0, ...defined(text), 2])
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        expect(ids(text)).toEqual([0, ...defined(text), 2])
      }),
      { seed: SEED, numRuns: 200 },
    )
  })

  it('joins pairs as <s> A </s></s> B </s> and makes <mask> include the blank before it', async () => {
    const { defined, mask, ids } = await load()
    expect(ids('Good food', 'Bad')).toEqual([0, ...defined('Good food'), 2, 2, ...defined('Bad'), 2])
    expect(ids('Good <mask> here')).toEqual([0, ...defined('Good'), mask, ...defined(' here'), 2])
  })
})

describe('the pre-training corpus', () => {
  it('compares sentences by letters, with every number alike', () => {
    expect(normalForm("I ca n't wait $ _num_ , OK ?")).toBe(normalForm("I can't wait $45, ok?"))
  })

  it('keeps no excluded sentence, alone, in another spelling, or within a paragraph', () => {
    const corpus = corpusFromParagraphs(
      ['crust is not good .', 'Fine start. Crust is NOT good! Fine end.', 'The crust is not good.'],
      excludedForms(['Crust is not good.']),
    )
    expect([...corpus.training, ...corpus.validation].sort()).toEqual(['Fine start. Fine end.', 'The crust is not good.'])
    expect(corpus.removed).toBe(2)
  })

  it('holds out about one line in a hundred, never a training line in another spelling, and removes repeated lines', () => {
    const word = (n: number): string => n.toString(26).replace(/./g, (digit) => String.fromCharCode(97 + parseInt(digit, 26)))
    const lines = Array.from({ length: 10_000 }, (_, i) => `Line ${word(i)} here.`)
    const corpus = corpusFromParagraphs([...lines, ...lines, ...lines.map((line) => line.toUpperCase())], new Set())
    expect(corpus.repeated).toBe(10_000)
    // Binomial(10000, 1/100): mean 100, standard deviation 9.95; twice, since upper case falls on the same side.
    expect(Math.abs(corpus.validation.length / 2 - 100)).toBeLessThan(40)
    const trained = new Set(corpus.training.map(normalForm))
    expect(corpus.validation.filter((line) => trained.has(normalForm(line)))).toEqual([])
  })

  it('cuts long paragraphs between sentences and long sentences between words, without losing text', () => {
    const paragraph = Array.from(
      { length: 40 },
      (_, i) => `Sentence ${i} has ${Array.from({ length: i * 4 }, (__, j) => `w${i * 4 * j} `).join('')}words.`,
    ).join(' ')
    const { training, validation } = corpusFromParagraphs([paragraph], new Set())
    expect(Math.max(...training.map((line) => line.length))).toBeLessThanOrEqual(360)
    // None of these lines happens to fall into the held-out hundredth.
    expect(validation).toEqual([])
    expect(training.join(' ')).toBe(paragraph)
  })

  it('restores reviews and WikiText to ordinary spelling', () => {
    expect(restoreReview("i ca n't say it 's `` great '' ( really ) , but i 'll be back !")).toBe(
      "I can't say it's \"great\" (really), but I'll be back!",
    )
    expect(restoreReview('paid $ _num_ for it .')).toMatch(/^Paid \$\d+ for it\.$/)
    expect(restoreWikiText('The 35 @.@ 6 cm gun , a twin @-@ gun of 1 @,@ 000 t ( est . ) , was " red " .')).toBe(
      'The 35.6 cm gun, a twin-gun of 1,000 t (est.), was "red".',
    )
  })

  it('names the folder if there is nothing to read', () => {
    expect(() => readCorpus('/no/such/folder')).toThrow(/^--corpora \/no\/such\/folder: expected/)
  })

  it.skipIf(!existsSync('../shared/data/corpora'))(
    'leaves the sentiment sentences out of the real corpus (skipped without ../shared/data)',
    () => {
      const corpus = readCorpus('../shared/data/corpora')
      const excluded = excludedForms(readSentences().map(({ text }) => text))
      expect([...corpus.training, ...corpus.validation].filter((line) => excluded.has(normalForm(line)))).toEqual([])
      expect(corpus.removed).toBeGreaterThan(100)
    },
  )
})

// Helpers

type Encoding = { readonly vocab: Readonly<Record<string, number>>; readonly merges: readonly string[] }

/** GPT-2's pre-tokenization: contractions, then letters, numbers or signs with at most one space in front, then other blanks. */
const word = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu

const isPrintable = (byte: number): boolean => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad)
const others = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => !isPrintable(byte))

/** The UTF-8 bytes of a text, one printable character each: a printable byte is itself, the n-th other byte is the code point 256 + n. */
const toPrintable = (text: string): readonly string[] =>
  Array.from(new TextEncoder().encode(text), (byte) => String.fromCodePoint(isPrintable(byte) ? byte : 256 + others.indexOf(byte)))

/** The definition: every merge in its turn, wherever its pair occurs, from the left. */
const idsByDefinition = ({ vocab, merges }: Encoding, text: string): readonly (number | undefined)[] =>
  (text.match(word) ?? []).flatMap((one) => {
    const parts = [...toPrintable(one)]
    for (const [left = '', right = ''] of merges.map((merge) => merge.split(' ')))
      for (let i = 0; i + 1 < parts.length; i += 1) if (parts[i] === left && parts[i + 1] === right) parts.splice(i, 2, left + right)
    return parts.map((part) => vocab[part])
  })
