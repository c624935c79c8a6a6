/** N-gram models: KenLM's published scores, probabilities that sum to 1, a corpus computed by hand, and round trips through files. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import {
  fileSource,
  highestTrainedOrder,
  ngramScorer,
  openNgramModel,
  textScore,
  trainNgram,
  writeNgramModel,
  type BackoffModel,
  type NgramOptions,
} from '../../../evaluation/index.js'
import { countNgrams, readCorpus, sortedByKey } from '../../../evaluation/ngram/counts.js'
import { countsOfCounts, estimatedDiscounts } from '../../../evaluation/ngram/kneserNey.js'
import { parseDecimal } from '../../../evaluation/ngram/arpa.js'
import { newVocabulary } from '../../../evaluation/ngram/vocabulary.js'
import { textOf } from '../../support/ngramText.js'
import { SEED } from '../../support/seed.js'

const folder = mkdtempSync(join(tmpdir(), 'salora-ngram-'))
afterAll(() => rmSync(folder, { recursive: true }))

const trainOn = async (text: string, options: NgramOptions) => (await trainNgram(textOf(text), options)).model
const fallback = [0.5, 1, 1.5] as const

const oracle = '../shared/data/oracles/kenlm'
const hasOracle = existsSync(oracle)

describe.skipIf(!hasOracle)("ngramScorer on KenLM's test models (skipped without ../shared/data/oracles/kenlm)", () => {
  type Case = {
    readonly name: string
    readonly start: '<s>' | 'null'
    readonly independent?: boolean
    readonly prefix?: readonly string[]
    readonly steps: readonly (readonly [string, number, number])[]
  }
  const { cases } = hasOracle
    ? (JSON.parse(readFileSync(join(oracle, 'expected_scores.json'), 'utf8')) as { readonly cases: readonly Case[] })
    : { cases: [] }

  it('has the 41 published scores to 1e-5 and the matched lengths, after <s> and after nothing, with blanks and unknown words', async () => {
    const scorer = ngramScorer(await openNgramModel(join(oracle, 'test.arpa')))
    let compared = 0
    for (const { name, start, independent, prefix = [], steps } of cases) {
      const after = start === '<s>' ? 'sentence' : 'nothing'
      const words = steps.map(([word]) => word)
      const scores =
        independent === true
          ? words.flatMap((word) => scorer.words([word], after))
          : scorer.words([...prefix, ...words], after).slice(prefix.length)
      steps.forEach(([word, matched, log10], i) => {
        expect(Math.abs((scores[i]?.log10 ?? NaN) - log10), `${name}: ${word}`).toBeLessThan(1e-5)
        expect(scores[i]?.matched, `${name}: ${word}`).toBe(matched)
        compared++
      })
    }
    expect(compared).toBe(41)
  })

  it('gives an unknown word a log10 of −100 if the model has no <unk>', async () => {
    const [known, unknown] = ngramScorer(await openNgramModel(join(oracle, 'test_nounk.arpa'))).words(['looking', 'not_there'], 'nothing')
    expect(known?.isKnown).toBe(true)
    expect(unknown).toMatchObject({ isKnown: false, matched: 1 })
    expect(unknown?.log10).toBeCloseTo(-100 - 0.4771212, 5) // and the weight of its context
  })
})

describe('an n-gram model of five sentences, computed by hand', () => {
  // words are found behind: a two others (<s>, c), b two (<s>, a), c two (<s>, a), </s> three (a, b, c), nine in all
  const text = 'a b\na b\na c\nb\nc a\n'
  const p = (x: number) => expect.closeTo(Math.log10(x), 6)
  const word = (count: number, discount: number) => (count - discount) / 9 + (4.5 / 9) * (1 / 5)

  it('has the bigram probabilities of modified Kneser-Ney smoothing', async () => {
    const model = await trainOn(text, { order: 2, discountFallback: fallback })
    const scorer = ngramScorer(model)
    const last = (...words: readonly string[]) => scorer.words(words, 'nothing').at(-1)?.log10
    const [a, end, unknown] = [word(2, 1), word(3, 1.5), (4.5 / 9) * (1 / 5)]
    expect(['a', 'b', 'c', '</s>', 'zzz'].map((w) => last(w))).toEqual([p(a), p(a), p(a), p(end), p(unknown)])
    // <s>: a 3, b 1, c 1 of 5, which leave (1.5 + 0.5 + 0.5) / 5
    expect(last('<s>', 'a')).toEqual(p(1.5 / 5 + 0.5 * a))
    expect(last('<s>', 'b')).toEqual(p(0.5 / 5 + 0.5 * a))
    expect(last('<s>', '</s>')).toEqual(p(0.5 * end))
    // a: b 2, c 1, </s> 1 of 4, which leave (1 + 0.5 + 0.5) / 4
    expect(last('a', 'b')).toEqual(p(1 / 4 + 0.5 * a))
    expect(last('a', '</s>')).toEqual(p(0.5 / 4 + 0.5 * end))
    // b: </s> 3 of 3 · c: </s> 1, a 1 of 2
    expect(last('b', '</s>')).toEqual(p(1.5 / 3 + 0.5 * end))
    expect(last('c', 'a')).toEqual(p(0.5 / 2 + 0.5 * a))
    expect(last('c', 'zzz')).toEqual(p(0.5 * unknown))
    expect(scorer.sentence('a b')).toMatchObject({ words: 2, unknown: 0, log10: p((0.3 + 0.5 * a) * (0.25 + 0.5 * a) * (0.5 + 0.5 * end)) })
  })

  it('leaves the probability of pruned bigrams to the unigrams', async () => {
    const scorer = ngramScorer(await trainOn(text, { order: 2, prune: [0, 1], discountFallback: fallback }))
    const last = (...words: readonly string[]) => scorer.words(words, 'nothing').at(-1)
    const [a, end] = [word(2, 1), word(3, 1.5)]
    expect(last('<s>', 'a')?.log10).toEqual(p(1.5 / 5 + (3.5 / 5) * a))
    expect(last('<s>', 'b')).toMatchObject({ matched: 1, log10: p((3.5 / 5) * a) })
    expect(last('c', '</s>')).toMatchObject({ matched: 1, log10: p(end) }) // c leaves all
  })

  it('has the unigram probabilities of the raw counts at order 1', async () => {
    // a 4, b 3, c 2, </s> 5 of 14, which leave (1.5 + 1.5 + 1 + 1.5) / 14
    const scorer = ngramScorer(await trainOn(text, { order: 1, discountFallback: fallback }))
    const share = 5.5 / 14 / 5
    expect(scorer.words(['a', 'c', '</s>', 'zzz']).map(({ log10 }) => log10)).toEqual(
      [2.5 / 14 + share, 1 / 14 + share, 3.5 / 14 + share, share].map(p),
    )
  })
})

describe('the estimated discounts of an n-gram order', () => {
  it('are equation 26 of Chen & Goodman', () => {
    const y = 10 / 18
    const expected = [1 - (2 * y * 4) / 10, 2 - (3 * y * 2) / 4, 3 - (4 * y * 1) / 2]
    expect(estimatedDiscounts([10, 4, 2, 1])).toEqual(expected.map((discount) => expect.closeTo(discount, 6)))
  })

  it('are replaced by a reason if no n-gram has a count of 1, 2 or 3, or if a discount is out of range', () => {
    expect(estimatedDiscounts([3, 0, 2, 1])).toBe('none with an adjusted count of 2')
    expect(estimatedDiscounts([3, 1, 0, 0])).toBe('none with an adjusted count of 3')
    expect(estimatedDiscounts([6, 1, 2, 0])).toBe('a discount of -2.500 for an adjusted count of 2')
    expect(estimatedDiscounts([10, 4, 2, 0])).not.toBeTypeOf('string') // without counts of 4 it is 3
  })

  it('use the counts of lmplz, which takes the raw count of the last n-gram of an order', async () => {
    const corpus = await readCorpus(textOf('x y\nx z\nx z\nx z\n'), { order: 3, skipSymbols: false })
    const [words, pairs, triples] = await countNgrams(corpus, async () => undefined)
    // contexts of each word: x 1, y 1, </s> 2, and z 1, which occurs there three times
    expect(words && countsOfCounts(words)).toEqual([2, 1, 1, 0])
    // x z 1, x y 1, y </s> 1, z </s> 1, <s> x 4, and x z three times
    expect(pairs && countsOfCounts(pairs)).toEqual([3, 0, 1, 1])
    // <s> x y 1, x y </s> 1, <s> x z 3, x z </s> 3
    expect(triples && countsOfCounts(triples)).toEqual([2, 0, 2, 0])
  })
})

/** Made-up words, the first ones often; now and then a sentence without any. */
const corpora = fc
  .array(
    fc.array(fc.oneof({ weight: 3, arbitrary: fc.constantFrom('a', 'b', 'é') }, fc.constantFrom('c', 'd', 'e', '日本')), { maxLength: 7 }),
    {
      minLength: 2,
      maxLength: 30,
    },
  )
  .filter((lines) => lines.flat().length > 0)
const settings = fc.record({
  order: fc.integer({ min: 1, max: 4 }),
  prune: fc.constantFrom([], [0, 1], [1], [0, 0, 2]),
})
const made = (lines: readonly (readonly string[])[], { order, prune }: { order: number; prune: readonly number[] }) =>
  trainOn(lines.map((words) => `${words.join(' ')}\n`).join(''), { order, prune: prune.slice(0, order), discountFallback: fallback })

const wordsOf = ({ vocabulary }: BackoffModel): readonly string[] =>
  Array.from({ length: vocabulary.size() }, (_, word) => Buffer.from(vocabulary.wordBytes(word)).toString())

describe(`an n-gram model of random text (seed ${SEED})`, () => {
  it('has probabilities that sum to 1 after each of 1,000 contexts, seen and unseen, pruned and not', async () => {
    let contexts = 0
    await fc.assert(
      fc.asyncProperty(
        corpora,
        settings,
        fc.array(fc.tuple(fc.boolean(), fc.array(fc.constantFrom('a', 'b', 'é', 'c', 'd', 'zzz', '</s>'), { maxLength: 4 })), {
          minLength: 20,
          maxLength: 20,
        }),
        async (lines, setting, histories) => {
          const model = await made(lines, setting)
          const scorer = ngramScorer(model)
          const next = wordsOf(model).filter((word) => word !== '<s>')
          for (const [isStart, history] of histories) {
            const sum = next.reduce(
              (total, word) => total + 10 ** (scorer.words([...history, word], isStart ? 'sentence' : 'nothing').at(-1)?.log10 ?? NaN),
              0,
            )
            expect(Math.abs(sum - 1), history.join(' ')).toBeLessThan(1e-6)
            contexts++
          }
        },
      ),
      { seed: SEED, numRuns: 50 },
    )
    expect(contexts).toBeGreaterThanOrEqual(1000)
  })

  it('is the same, number by number, after a round trip through a file, plain or gzip', () =>
    fc.assert(
      fc.asyncProperty(corpora, settings, fc.constantFrom('model.arpa', 'model.arpa.gz'), async (lines, setting, name) => {
        const model = await made(lines, setting)
        const file = join(folder, name)
        await writeNgramModel(file, model)
        const reopened = await openNgramModel(file)
        expect(wordsOf(reopened)).toEqual(wordsOf(model))
        expect(reopened.levels).toEqual(model.levels)
      }),
      { seed: SEED, numRuns: 60 },
    ))

  it('scores a text the same for any chunks of bytes, with or without gzip, with or without a final line feed', () =>
    fc.assert(
      fc.asyncProperty(
        corpora,
        fc.array(fc.nat(), { maxLength: 4 }),
        fc.boolean(),
        fc.boolean(),
        async (lines, cuts, isZipped, isEnded) => {
          const scorer = ngramScorer(await made(lines, { order: 3, prune: [] }))
          const texts = lines.map((words) => words.join(' '))
          const text = `${texts.join('\n')}${isEnded || texts.at(-1) === '' ? '\n' : ''}`
          const logs: number[] = []
          await scorer.lines(textOf(isZipped ? gzipSync(text) : text, cuts), ({ log10 }) => void logs.push(log10))
          expect(logs).toEqual(texts.map((sentence) => scorer.sentence(sentence).log10))
        },
      ),
      { seed: SEED, numRuns: 60 },
    ))
})

describe(`a random ARPA file (seed ${SEED})`, () => {
  const order = 4
  const number = fc.integer({ min: 0, max: 40_000 }).map((n) => -n / 10_000)
  /** N-grams whose contexts are there, and whose last words may be not. */
  const arpas = fc
    .array(fc.array(fc.constantFrom('a', 'b', 'c', '<unk>', '</s>'), { minLength: 1, maxLength: order }), { minLength: 1, maxLength: 14 })
    .chain((grams) => {
      const closed = new Set(['<s>', '</s>', 'a', 'b', 'c'])
      for (const gram of grams) gram.forEach((_, i) => closed.add(gram.slice(0, i + 1).join(' ')))
      const all = [...closed]
      return fc.array(fc.tuple(number, number), { minLength: all.length, maxLength: all.length }).map((values) => {
        const rows = all.map((words, i) => ({ words, n: words.split(' ').length, values: values[i] ?? [0, 0] }))
        const highest = Math.max(2, ...rows.map(({ n }) => n))
        return { highest, rows: rows.map(({ words, n, values: [p, b] }) => ({ words, n, p: p ?? 0, b: n === highest ? 0 : (b ?? 0) })) }
      })
    })

  it('is scored by the definition: the longest n-gram in it, and the back-off weights of longer contexts', () =>
    fc.assert(
      fc.asyncProperty(
        arpas,
        fc.array(fc.constantFrom('a', 'b', 'c', 'd', '</s>'), { minLength: 1, maxLength: 9 }),
        fc.boolean(),
        async ({ highest, rows }, words, isStart) => {
          const sections = Array.from({ length: highest }, (_, i) => rows.filter(({ n }) => n === i + 1))
          const arpa = [
            '\\data\\',
            ...sections.map((section, i) => `ngram ${i + 1}=${section.length}`),
            '',
            ...sections.flatMap((section, i) => [
              `\\${i + 1}-grams:`,
              ...section.map(({ words: gram, p, b }) => (b === 0 ? `${p}\t${gram}` : `${p}\t${gram}\t${b}`)),
              '',
            ]),
            '\\end\\',
          ].join('\n')
          writeFileSync(join(folder, 'any.arpa'), arpa)
          const scores = ngramScorer(await openNgramModel(join(folder, 'any.arpa'))).words(words, isStart ? 'sentence' : 'nothing')
          const table = new Map(rows.map(({ words: gram, p, b }) => [gram, { p, b }]))
          const known = words.map((word) => (table.has(word) ? word : '<unk>'))
          known.forEach((word, i) => {
            const history = [...(isStart ? ['<s>'] : []), ...known.slice(0, i)].slice(-(highest - 1))
            // KenLM's length counts an n-gram too that is there only as the end of a longer one
            const isThere = (from: number, exact: boolean): boolean => {
              const gram = [...history.slice(from), word].join(' ')
              return table.has(gram) || (!exact && rows.some(({ words: longer }) => longer.endsWith(` ${gram}`)))
            }
            const first = (isExact: boolean): number => {
              const index = history.findIndex((_, from) => isThere(from, isExact))
              return index === -1 ? history.length : index
            }
            const [at, end] = [first(true), first(false)]
            const p = table.get([...history.slice(at), word].join(' '))?.p ?? -100
            const weights = Array.from({ length: at }, (_, k) => table.get(history.slice(k).join(' '))?.b ?? 0)
            expect(scores[i]?.log10).toBeCloseTo(
              weights.reduce((a, b) => a + b, p),
              4,
            )
            expect(scores[i]?.matched).toBe(history.length - end + 1)
          })
        },
      ),
      { seed: SEED, numRuns: 300 },
    ))
})

describe('the n-gram code', () => {
  it('reads the numbers of an ARPA file as JavaScript does', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.double({ noNaN: true }).map(String),
          fc.constantFrom('-0', '.5', '5.', '-99', '1e-7', '', '-', '.', '1e', '0x1', '1_0', 'nan', 'Infinity', '1.2.3'),
        ),
        (text) => {
          const bytes = Buffer.from(text)
          const expected = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : NaN
          expect(parseDecimal(bytes, 0, bytes.length) + 0).toBe(expected + 0)
        },
      ),
      { seed: SEED, numRuns: 500 },
    ))

  it('numbers the words of a vocabulary as a map would', () =>
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary', minLength: 1, maxLength: 3 }), { maxLength: 400, size: 'max' }), (words) => {
        const [vocabulary, map] = [
          newVocabulary(),
          new Map([
            ['<unk>', 0],
            ['<s>', 1],
            ['</s>', 2],
          ] as readonly [string, number][]),
        ]
        for (const word of words) {
          const bytes = Buffer.from(word)
          const text = bytes.toString()
          expect(vocabulary.find(bytes, 0, bytes.length)).toBe(map.get(text) ?? 0)
          if (!map.has(text)) map.set(text, map.size)
          expect(vocabulary.add(bytes, 0, bytes.length)).toBe(map.get(text))
        }
        expect(vocabulary.size()).toBe(map.size)
      }),
      { seed: SEED, numRuns: 100 },
    ))

  it('keeps words apart whose 32-bit hashes collide, as some of 400,000 do', () => {
    const vocabulary = newVocabulary()
    for (let i = 0; i < 400_000; i++) {
      const bytes = Buffer.from(Math.imul(i, 0x9e3779b1).toString(36).padStart(8))
      vocabulary.add(bytes, 0, bytes.length)
    }
    expect(vocabulary.size()).toBe(400_003)
  })

  it('sorts stably in each pass', () =>
    fc.assert(
      fc.property(fc.array(fc.nat(9), { minLength: 1, maxLength: 50 }), (keys) => {
        const places = Uint32Array.from(keys, (_, i) => i)
        const expected = [...places].sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0) || a - b)
        expect([...sortedByKey(places, Uint32Array.from(keys), 1, 0, 10)]).toEqual(expected)
      }),
      { seed: SEED },
    ))

  it("sums sentence ends into every perplexity, and counts them only in KenLM's", () => {
    const scores = [
      { log10: -6, words: 2, unknown: 1, unknownLog10: -3 },
      { log10: -3, words: 1, unknown: 0, unknownLog10: 0 },
    ]
    expect(textScore(scores)).toEqual({
      sentences: 2,
      words: 3,
      unknown: 1,
      log10: -9,
      perplexity: expect.closeTo(1000, 9),
      perplexityWithoutUnknown: expect.closeTo(1000, 9),
      kenlmPerplexity: expect.closeTo(10 ** (9 / 5), 9),
      kenlmPerplexityWithoutUnknown: expect.closeTo(10 ** (6 / 4), 9),
    })
    expect(textScore([{ log10: -1, words: 0, unknown: 0, unknownLog10: 0 }])).toMatchObject({ perplexity: null, kenlmPerplexity: 10 })
    expect(textScore([{ log10: -4, words: 1, unknown: 1, unknownLog10: -3 }])).toMatchObject({ perplexityWithoutUnknown: null })
  })

  it('ignores <s>, </s> and <unk> in a training text with skipSymbols', async () => {
    const options = { order: highestTrainedOrder, discountFallback: fallback }
    const file = (name: string) => join(folder, name)
    await writeNgramModel(file('one.arpa.gz'), await trainOn('a b\nc a\n', options))
    await writeNgramModel(file('two.arpa'), await trainOn('<s> a b </s>\nc <unk> a\n', { ...options, skipSymbols: true }))
    expect(gunzipSync(readFileSync(file('one.arpa.gz')))).toEqual(readFileSync(file('two.arpa')))
  })

  it("splits words at lmplz's blanks in training, and at those of KenLM's query in scoring", async () => {
    const model = await trainOn('a\tb\r\n  a \0 b\vc  \n', { order: 1, discountFallback: fallback })
    expect(wordsOf(model)).toEqual(['<unk>', '<s>', '</s>', 'a', 'b', 'b\vc'])
    expect(ngramScorer(model).sentence(' a\fb\vb\r')).toMatchObject({ words: 3, unknown: 0 })
  })

  it('removes a byte-order mark from the first word', async () => {
    writeFileSync(join(folder, 'marked.txt'), '\ufeffa b\n')
    const { model } = await trainNgram(await fileSource(join(folder, 'marked.txt')), { order: 2, discountFallback: fallback })
    expect(wordsOf(model)).toEqual(['<unk>', '<s>', '</s>', 'a', 'b'])
  })
})
