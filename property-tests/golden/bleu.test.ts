/** BLEU equals sacrebleu's, and words equal those of NLTK's word_tokenize: for made-up corpora and lines, and for real lines by digests. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bleuTokenizers, corpusBleu, sentenceBleu, type BleuScore, type BleuSettings } from '../../evaluation/index.js'
import { fixtures } from './golden.js'

type Corpus = {
  readonly settings: BleuSettings
  readonly hypotheses: readonly string[]
  readonly references: readonly (readonly string[])[]
  readonly expected: BleuScore
}
type Sentence = { readonly hypothesis: string; readonly references: readonly string[]; readonly score: number }

const { lines, corpora, sentences, digests } = JSON.parse(readFileSync(join(fixtures, 'bleu.json'), 'utf8')) as {
  readonly lines: readonly { readonly line: string; readonly words: readonly string[] }[]
  readonly corpora: readonly Corpus[]
  readonly sentences: readonly Sentence[]
  readonly digests: Readonly<Record<string, readonly string[]>>
}
const data = join(import.meta.dirname, '../../../shared/data')

/** Both take the same logarithms and sums; their last bits may differ. */
const digitsOf = ({ score, precisions, brevityPenalty, ...counts }: BleuScore) => ({
  ...counts,
  shares: [score, ...precisions, brevityPenalty].map((share) => Number(share.toPrecision(12))),
})

describe('BLEU of made-up corpora', () => {
  it('covers each tokenizer, smoothing and order, several references, empty lines, and scores between 0 and 100', () => {
    const kinds = corpora.map(({ settings }) =>
      [settings.tokenize, settings.smoothing, settings.smoothValue, settings.effectiveOrder].join(),
    )
    expect(new Set(kinds).size).toBe(3 * 6 * 2)
    expect(corpora.filter(({ references }) => references.length > 1).length).toBeGreaterThan(200)
    expect(corpora.filter(({ hypotheses }) => hypotheses.includes('')).length).toBeGreaterThan(50)
    expect(corpora.filter(({ expected: { score } }) => score > 0 && score < 100).length).toBeGreaterThan(200)
  })

  it.each(['13a', 'none', 'words'] as const)("equals sacrebleu's with tokenizer %s", (tokenize) => {
    const scored = corpora.filter(({ settings }) => settings.tokenize === tokenize)
    expect(scored.length).toBeGreaterThan(150)
    for (const { settings, hypotheses, references, expected } of scored)
      expect(digitsOf(corpusBleu(hypotheses, references, settings)), JSON.stringify({ settings, hypotheses, references })).toEqual(
        digitsOf(expected),
      )
  })

  it("BLEU of a sentence equals sacrebleu's sentence_bleu", () => {
    for (const { hypothesis, references, score } of sentences)
      expect(sentenceBleu(hypothesis, references).score, hypothesis).toBeCloseTo(score, 9)
    expect(sentences.filter(({ score }) => score > 0 && score < 100).length).toBeGreaterThan(20)
  })
})

describe('words for BLEU', () => {
  it("words for BLEU are those of NLTK's word_tokenize for made-up lines, some for each rule and some random", () => {
    expect(lines.length).toBeGreaterThan(600)
    for (const { line, words } of lines) expect(bleuTokenizers.words(line), JSON.stringify(line)).toEqual(words)
  })

  it.skipIf(!existsSync(data)).each(Object.entries(digests))(
    "words for BLEU are those of NLTK's word_tokenize for real lines in %s (needs ../shared/data)",
    (file, expected) => {
      const texts = readFileSync(join(data, file), 'utf8').split('\n').slice(0, 5000)
      const made = texts.map((line) => `${bleuTokenizers.words(line).join(' ')}\n`)
      const ours = Array.from({ length: Math.ceil(made.length / 1000) }, (_, i) =>
        createHash('sha256')
          .update(made.slice(1000 * i, 1000 * (i + 1)).join(''))
          .digest('hex')
          .slice(0, 16),
      )
      expect(ours).toEqual(expected)
    },
  )
})

describe.skipIf(!existsSync(data))('published numbers (need ../shared/data)', () => {
  const read = (file: string): readonly string[] => readFileSync(join(data, file), 'utf8').split('\n')
  const segments = (file: string, count: number): readonly string[] => read(file).slice(0, count) // some files lack the last line's end
  const words = (line: string): string => bleuTokenizers.words(line).join(' ')
  const plain = { tokenize: 'none', smoothing: 'none' } as const

  describe('transfers of sentiment on Yelp, 500 lines each way', () => {
    /**
     * The human rewrites as the papers have them (Dai et al., 2019; Xiao et al., 2021): lower case and NLTK's words. A line without a mark at its
     * end gets a period. That file is tokenized once more, so these are NLTK's words of them, with `` for a '' after a blank.
     */
    const withEnd = (line: string): string => (/[.!?]$/.test(line) ? line : `${line} .`)
    const rewrites = (source: 0 | 1): readonly string[] =>
      segments(`yelp/reference.${source}`, 500).map((line) => words(withEnd(words((line.split('\t')[1] ?? '').toLowerCase()))))

    it.each<readonly [string, 0 | 1, string, number]>([
      ['StyTrans, negative to positive', 0, 'yelp/outputs/StyleTransformer-cond/neg2pos.txt', 25.85],
      ['StyTrans, positive to negative', 1, 'yelp/outputs/StyleTransformer-cond/pos2neg.txt', 24.9],
      ['StyIns, negative to positive', 0, 'yelp/outputs/StyIns/neg2pos.txt', 25.98],
      ['StyIns, positive to negative', 1, 'yelp/outputs/StyIns/pos2neg.txt', 26.08],
    ])('BLEU of raw Yelp outputs is the published one: %s', (_, source, file, published) =>
      expect(Number(corpusBleu(segments(file, 500), [rewrites(source)], plain).score.toFixed(2))).toBe(published),
    )

    it.each<readonly [0 | 1, number]>([
      [0, 33.58],
      [1, 31.12],
    ])("BLEU of unchanged Yelp inputs of style %i, in NLTK's words, is the published one", (source, published) =>
      expect(Number(corpusBleu(segments(`yelp/test.${source}`, 500).map(words), [rewrites(source)], plain).score.toFixed(2))).toBe(
        published,
      ),
    )

    it.each<readonly [0 | 1, string, number]>([
      [0, 'neg2pos', 44.5],
      [1, 'pos2neg', 53.1],
    ])('BLEU of StyTrans from style %i, tokenized as published, has the expected value with four references', (source, file, measured) => {
      const references = [0, 1, 2, 3].map((k) => segments(`yelp/references4/reference${k}.${source}`, 500))
      const { score } = corpusBleu(segments(`yelp/outputs/StyleTransformer-cond/${file}.txt`, 500), references, plain)
      expect(Number(score.toFixed(1))).toBe(measured)
    })
  })

  describe("WMT15's 100 English sentences in Russian", () => {
    const folder = 'oracles/bleu/wmt15_eval'
    const hypotheses = () => segments(`${folder}/google.ru`, 100)

    it('tokenized text has the BLEU of multi-bleu.perl', () => {
      const score = corpusBleu(hypotheses(), [segments(`${folder}/ref.ru`, 100)], plain)
      expect([score.score.toFixed(2), score.precisions.map((precision) => precision.toFixed(1)).join('/')]).toEqual([
        '23.17',
        '53.8/29.6/17.6/10.3',
      ])
      expect([score.brevityPenalty, score.hypothesisLength, score.referenceLength]).toEqual([1, 1989, 1852])
    })

    it('raw text has the BLEU of mteval-v13a.pl, with precisions of the same counts', () => {
      const score = corpusBleu(hypotheses(), [segments(`${folder}/newstest-2015-100sents.en-ru.ref.ru`, 100)])
      expect([score.score / 100, ...score.precisions.map((precision) => precision / 100)].map((share) => share.toFixed(4))).toEqual(
        '0.2318 0.5415 0.2972 0.1752 0.1025'.split(' '),
      )
      expect([score.hypothesisLength, score.referenceLength]).toEqual([1998, 1862])
    })
  })
})
