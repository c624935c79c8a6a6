/** Laws of BLEU and its tokenizers, whatever the text: its counts add up, order does not matter, no line takes more than linear time. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addBleuStatistics,
  type BleuScore,
  computeBleu,
  bleuSignature,
  bleuStatistics,
  bleuTokenizers,
  corpusBleu,
  noBleuStatistics,
  sentenceBleu,
} from '../../../evaluation/index.js'
import { SEED } from '../../support/seed.js'

const line = fc
  .array(fc.constantFrom('a', 'b', 'the', 'The', 'mat.', "don't", '"so"', '3,5', '日本', '😀'), { maxLength: 8 })
  .map((words) => words.join(' '))
/** A hypothesis and two references, by segment. */
const segments = fc.array(fc.tuple(line, line, line), { minLength: 1, maxLength: 6 })
const tokenize = fc.constantFrom('13a' as const, 'none' as const, 'words' as const)
const smoothing = fc.constantFrom('none' as const, 'floor' as const, 'add-k' as const, 'exp' as const)
const settings = fc.record({ tokenize, smoothing, lowercase: fc.boolean(), effectiveOrder: fc.boolean() })

type Segment = readonly [string, string, string]
const column = (of: readonly Segment[], k: 0 | 1 | 2): readonly string[] => of.map((segment) => segment[k])
const scored = (of: readonly Segment[], options: Parameters<typeof corpusBleu>[2]): BleuScore =>
  corpusBleu(column(of, 0), [column(of, 1), column(of, 2)], options)

describe(`BLEU (seed ${SEED})`, () => {
  it('is 100 for a text against itself if some line has four words', () =>
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), settings, (lines, options) => {
        const texts = [...lines, 'four words in it']
        const { score, brevityPenalty, counts, totals } = corpusBleu(texts, [texts], options)
        expect(score).toBeCloseTo(100, 9)
        expect(brevityPenalty).toBe(1)
        expect(counts).toEqual(totals)
      }),
      { seed: SEED },
    ))

  it('is from 0 to 100, and counts are at most totals, which fall with n', () =>
    fc.assert(
      fc.property(segments, settings, (of, options) => {
        const { score, counts, totals, brevityPenalty } = scored(of, options)
        expect(score).toBeGreaterThanOrEqual(0)
        expect(score).toBeLessThanOrEqual(100)
        expect(brevityPenalty >= 0 && brevityPenalty <= 1).toBe(true)
        counts.forEach((count, n) => {
          expect(count).toBeLessThanOrEqual(totals[n] ?? -1)
          if (n > 0) expect(totals[n]).toBeLessThanOrEqual(totals[n - 1] ?? -1)
        })
      }),
      { seed: SEED },
    ))

  it('does not depend on the order of segments or of references', () =>
    fc.assert(
      fc.property(segments, settings, (of, options) => {
        const turned = [...of].reverse().map(([hypothesis, a, b]): Segment => [hypothesis, b, a])
        expect(scored(turned, options)).toEqual(scored(of, options))
      }),
      { seed: SEED },
    ))

  it('BLEU of a text follows from the summed statistics of its parts', () =>
    fc.assert(
      fc.property(segments, segments, settings, (a, b, options) => {
        const [first, second] = [a, b].map((of) => bleuStatistics(column(of, 0), [column(of, 1), column(of, 2)], options))
        const sum = [noBleuStatistics, first ?? noBleuStatistics, second ?? noBleuStatistics].reduce(addBleuStatistics)
        expect(computeBleu(sum, options)).toEqual(scored([...a, ...b], options))
      }),
      { seed: SEED },
    ))

  it('matches at least as many n-grams with a further reference, and as many with a repeated one', () =>
    fc.assert(
      fc.property(segments, settings, (of, options) => {
        const one = corpusBleu(column(of, 0), [column(of, 1)], options)
        scored(of, options).counts.forEach((count, n) => expect(count).toBeGreaterThanOrEqual(one.counts[n] ?? Infinity))
        expect(corpusBleu(column(of, 0), [column(of, 1), column(of, 1)], options)).toEqual(one)
      }),
      { seed: SEED },
    ))
})

describe('BLEU by hand', () => {
  it('clips an n-gram to its count in a reference, and takes the closest length (Papineni et al., 2002, example 2)', () => {
    const { counts, totals, referenceLength } = corpusBleu(
      ['the the the the the the the'],
      [['The cat is on the mat'], ['There is a cat on the mat']],
      {
        lowercase: true,
      },
    )
    expect([counts[0], totals[0], referenceLength]).toEqual([2, 7, 7])
  })

  it('BLEU of a correct one-word sentence is 100 with the effective order, and 0 with all four orders', () => {
    expect(sentenceBleu('yes', ['yes']).score).toBe(100)
    expect(sentenceBleu('yes', ['yes'], { effectiveOrder: false }).score).toBe(0)
  })

  it('refuses a call without references, and a reference of another length', () => {
    expect(() => corpusBleu(['a'], [])).toThrow('corpusBleu: expected at least one list of references, got none')
    expect(() => corpusBleu(['a', 'b'], [['a', 'b'], ['a']])).toThrow('corpusBleu: expected a reference for each of 2 hypotheses, got 1')
  })

  it("has a signature in sacrebleu's form", () => {
    expect(bleuSignature(1)).toBe('nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp')
    expect(bleuSignature(4, { tokenize: 'words', lowercase: true, smoothing: 'floor', effectiveOrder: true })).toBe(
      'nrefs:4|case:lc|eff:yes|tok:words|smooth:floor[0.10]',
    )
    expect(bleuSignature(1, { smoothing: 'add-k', smoothValue: 2 })).toBe('nrefs:1|case:mixed|eff:no|tok:13a|smooth:add-k[2.00]')
  })
})

describe(`the BLEU tokenizers (seed ${SEED})`, () => {
  const text = fc.string({
    unit: fc.oneof(fc.string({ unit: 'grapheme', maxLength: 1 }), fc.constantFrom(...'\'"`.,:;-()[]<>!? \tsamd1', "n't", 'cannot')),
    maxLength: 30,
  })
  const bare = (of: string): string => of.replace(/[\s\u0085\u001c-\u001f"'`\ufeff]/g, '')

  it.each(['none', 'words'] as const)('keep every character except blanks and quotes: %s', (name) =>
    fc.assert(
      fc.property(text, (of) => {
        const words = bleuTokenizers[name](of)
        expect(bare(words.join(''))).toBe(bare(of))
        for (const word of words) expect(word).toMatch(/^[^ \t\n]+$/)
      }),
      { seed: SEED, numRuns: 500 },
    ),
  )

  it.each(Object.entries(bleuTokenizers))('take linear time, under two seconds for 200,000 marks or blanks: %s', (_, words) => {
    for (const mark of [' ', '.', "'", '`', '. ', "' ", ' "', '&', ',', '-', 'a', '9,'])
      for (const of of [`x.${mark.repeat(200_000)}x`, mark.repeat(200_000)]) {
        const began = performance.now()
        words(of)
        expect(performance.now() - began, JSON.stringify(mark)).toBeLessThan(2_000)
      }
  })
})
