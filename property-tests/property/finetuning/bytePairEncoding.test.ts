/** The embedded model's tokenizer and corpus: against worked examples, the definition of the encoding, and transformers.js. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AutoTokenizer, env } from '@huggingface/transformers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  BYTE_TOKENS,
  countWords,
  splitWords,
  toPrintable,
  trainBytePairEncoding,
  type BytePairEncoding,
  specialTokensMapJson,
  tokenizerConfigJson,
  tokenizerJson,
} from '../../../scripts/embeddedModel/bytePairEncoding.js'
import {
  corpusFromParagraphs,
  excludedForms,
  normalForm,
  readCorpus,
  sentimentSentences,
  restoreReview,
  restoreWikiText,
  tokenizeCorpus,
} from '../../../scripts/embeddedModel/corpus.js'
import { SEED } from '../../support/seed.js'

const BASE = 4 + 256 + 1
const TEXT = "The food was good. The good food, it's the best! 12 of 10 would eat <mask> again. Café “naïve” 日本語 🙂"
const small = trainBytePairEncoding(countWords(Array.from({ length: 3 }, () => TEXT)), BASE + 60)
const anyText = fc.string({ unit: 'binary', maxLength: 60 })

describe('byte-pair encoding', () => {
  // Sennrich et al. 2016, figure of section 3.2 without their end-of-word sign: low 5, lowest 2, newer 6, wider 3.
  const worked = new Map([
    ['low', 5],
    ['lowest', 2],
    ['newer', 6],
    ['wider', 3],
  ])

  it('merges the pairs of a manual count, the oldest symbols first among equals', () => {
    // e r: 6 + 3 = 9. Then l o = o w = 7 (`l` is older). Then lo w = 7. Then n e = e w = w er = 6 (`e` is older).
    // Then n ew = ew er = 6 (`n`). Then new er = 6. Then low is done, and i d = d er = w i = 3 (`d` is older).
    expect(trainBytePairEncoding(worked, BASE + 7).merges).toEqual([
      ['e', 'r'],
      ['l', 'o'],
      ['lo', 'w'],
      ['e', 'w'],
      ['n', 'ew'],
      ['new', 'er'],
      ['d', 'er'],
    ])
  })

  it('orders the vocabulary as RoBERTa does: four special tokens, bytes, merges, the mask', () => {
    const { tokens } = trainBytePairEncoding(worked, BASE + 2)
    expect(tokens.slice(0, 5)).toEqual(['<s>', '<pad>', '</s>', '<unk>', '!'])
    expect(tokens.slice(-3)).toEqual(['er', 'lo', '<mask>'])
    expect(tokens).toHaveLength(BASE + 2)
    expect(new Set(tokens).size).toBe(BASE + 2)
  })

  it('encodes a word with the earliest merges first', () => {
    const encoding = trainBytePairEncoding(worked, BASE + 7)
    const { tokens } = tokenizeCorpus(['lower'], tokenizerJson(encoding))
    expect(Array.from(tokens, (id) => encoding.tokens[id])).toEqual(['low', 'er'])
  })

  it('stops early if no pair occurs twice', () => {
    expect(trainBytePairEncoding(new Map([['ab', 1]]), BASE + 5).merges).toEqual([])
  })

  it('never merges text into a special token', () => {
    const { tokens } = trainBytePairEncoding(new Map([['<s>', 50]]), BASE + 5)
    expect(tokens.filter((token) => token === '<s>')).toHaveLength(1)
  })

  it('depends on the counts alone, not on the order of the words', () => {
    const order = fc.shuffledSubarray([...countWords([TEXT, TEXT])], { minLength: countWords([TEXT]).size })
    const expected = trainBytePairEncoding(countWords([TEXT, TEXT]), BASE + 40)
    fc.assert(
      fc.property(order, (entries) => {
        expect(trainBytePairEncoding(new Map(entries), BASE + 40)).toEqual(expected)
      }),
      { seed: SEED, numRuns: 20 },
    )
  })

  it('counts incrementally the same as a full recount before every merge', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 8 })
    const counts = fc.dictionary(word, fc.integer({ min: 1, max: 9 }), { minKeys: 1, maxKeys: 8 })
    fc.assert(
      fc.property(counts, (dictionary) => {
        const words = new Map(Object.entries(dictionary))
        expect(trainBytePairEncoding(words, BASE + 12).merges).toEqual(mergesCountedAfresh(words, 12))
      }),
      { seed: SEED, numRuns: 300 },
    )
  })

  it('cuts a text into words whose concatenation is the text', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(splitWords(text).join('')).toBe(text)
      }),
      { seed: SEED, numRuns: 300 },
    )
  })

  it('maps each byte to its own character, printable bytes to themselves, as GPT-2 does', () => {
    expect(new Set(BYTE_TOKENS).size).toBe(256)
    expect(toPrintable('a b\né\uFEFF')).toBe('aĠbĊÃ©ï»¿')
  })

  it('tokenizes a corpus into one array with line boundaries, without losing text', () => {
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 4 }), (texts) => {
        const lines = ['The food', '', 'was <mask> good.', '\uFEFFgood', ...texts]
        const { tokens, starts } = tokenizeCorpus(lines, tokenizerJson(small))
        const written = lines.map((_, i) => Array.from(tokens.subarray(starts[i], starts[i + 1]), (id) => small.tokens[id]).join(''))
        expect(written).toEqual(lines.map(toPrintable))
        expect(starts[lines.length]).toBe(tokens.length)
      }),
      { seed: SEED, numRuns: 200 },
    )
  })

  it('reads a literal special token in a line as plain text', () => {
    const special = small.tokens.map((token, id) => (/^<.+>$/.test(token) ? id : -1)).filter((id) => id >= 0)
    expect(special).toHaveLength(5)
    const { tokens } = tokenizeCorpus(['a <mask> and </s>', '<s><pad><unk>'], tokenizerJson(small))
    expect([...tokens].filter((id) => special.includes(id))).toEqual([])
  })

  it('is refused if ids do not fit 16 bits', () => {
    const tokens = [...small.tokens, ...Array.from({ length: 0x10000 }, (_, i) => `more${i}`)]
    expect(() => tokenizeCorpus([], tokenizerJson({ ...small, tokens }))).toThrow('tokenizeCorpus: expected at most 65536 tokens')
  })
})

const embedded = fileURLToPath(new URL('../../../finetuning/embedded/model', import.meta.url))

describe.each([
  ['a freshly learned encoding', undefined],
  ["the embedded model's files", embedded],
])('transformers.js, reading %s', (_, folder) => {
  const written = mkdtempSync(join(tmpdir(), 'salora-tokenizer-'))
  const source = folder ?? written
  const load = async () => {
    env.allowRemoteModels = false
    env.localModelPath = join(source, '..')
    const theirs = await AutoTokenizer.from_pretrained(basename(source))
    const json = JSON.parse(readFileSync(join(source, 'tokenizer.json'), 'utf8')) as TokenizerJson
    const ids = (text: string, pair?: string): readonly number[] =>
      (theirs(text, { ...(pair === undefined ? {} : { text_pair: pair }), return_tensor: false }) as { input_ids: number[] }).input_ids
    const { tokens, merges } = encodingOf(json)
    return { defined: (text: string) => idsByDefinition({ tokens, merges }, text), mask: tokens.length - 1, json, ids }
  }
  beforeAll(() => {
    writeFileSync(join(written, 'tokenizer.json'), JSON.stringify(tokenizerJson(small)))
    writeFileSync(join(written, 'tokenizer_config.json'), JSON.stringify(tokenizerConfigJson()))
    writeFileSync(join(written, 'special_tokens_map.json'), JSON.stringify(specialTokensMapJson()))
  })
  afterAll(() => {
    rmSync(written, { recursive: true })
  })

  it.skipIf(folder !== undefined && !existsSync(folder))('gives the ids of the definition between <s> and </s>', async () => {
    const { defined, json, ids } = await load()
    const texts = [
      'Wow... Loved this place.',
      ' two  blanks\n\tand tabs ',
      "I'll say it's 10/10!!",
      'Café “naïve” 日本語 🙂',
      'ALL CAPS',
      '',
    ]
    for (const text of texts) {
      expect(ids(text)).toEqual([0, ...defined(text), 2])
      expect([...tokenizeCorpus([text], json).tokens]).toEqual(defined(text))
    }
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
  it('excludes the 3,000 labeled sentences of the embedded dataset', () => {
    expect(sentimentSentences()).toHaveLength(3000)
  })

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
      const excluded = excludedForms(sentimentSentences())
      expect([...corpus.training, ...corpus.validation].filter((line) => excluded.has(normalForm(line)))).toEqual([])
      expect(corpus.removed).toBeGreaterThan(100)
    },
  )
})

// Helpers

type TokenizerJson = {
  readonly model: { readonly vocab: Readonly<Record<string, number>>; readonly merges: readonly string[] }
}

const encodingOf = ({ model: { vocab, merges } }: TokenizerJson): BytePairEncoding => ({
  tokens: Object.keys(vocab).sort((a, b) => (vocab[a] ?? 0) - (vocab[b] ?? 0)),
  merges: merges.map((merge) => merge.split(' ') as [string, string]),
})

/** The definition: every merge in its turn, wherever its pair occurs, from the left. */
const idsByDefinition = ({ tokens, merges }: BytePairEncoding, text: string): readonly number[] =>
  splitWords(text).flatMap((word) => {
    const parts = [...toPrintable(word)]
    for (const [left, right] of merges)
      for (let i = 0; i + 1 < parts.length; i += 1) if (parts[i] === left && parts[i + 1] === right) parts.splice(i, 2, left + right)
    return parts.map((part) => tokens.indexOf(part))
  })

/** The definition, with no clever counting: symbols are texts; among equal pairs the one with the oldest symbols wins. */
const mergesCountedAfresh = (counts: ReadonlyMap<string, number>, steps: number): readonly (readonly string[])[] => {
  const symbols = ['a', 'b', 'c']
  const words = [...counts].map(([word, count]) => ({ parts: [...word], count }))
  const merges: string[][] = []
  for (let made = 0; made < steps; ) {
    const pairs = new Map<string, number>()
    for (const { parts, count } of words)
      parts.slice(1).forEach((part, i) => pairs.set(`${parts[i]} ${part}`, (pairs.get(`${parts[i]} ${part}`) ?? 0) + count))
    const age = (pair: string): number => pair.split(' ').reduce((key, symbol) => key * 1000 + symbols.indexOf(symbol), 0)
    const best = [...pairs].filter(([, n]) => n > 1).sort(([p, n], [q, m]) => m - n || age(p) - age(q))[0]
    if (best === undefined) break
    const [left, right] = best[0].split(' ') as [string, string]
    merges.push([left, right])
    if (!symbols.includes(left + right)) {
      symbols.push(left + right)
      made += 1
    }
    for (const word of words)
      for (let i = 0; i + 1 < word.parts.length; i += 1)
        if (word.parts[i] === left && word.parts[i + 1] === right) word.parts.splice(i, 2, left + right)
  }
  return merges
}
