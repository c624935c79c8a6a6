/** Metrics against their own laws. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { accuracy, f1, majorityClass, matthews, pearson, spearman } from '../../../finetuning/metrics/index.js'
import { SEED } from '../../support/seed.js'

const runs = { seed: SEED, numRuns: 300 }

/** Pairs of numbers as two lists. */
const pairs = (value: fc.Arbitrary<number>) => fc.array(fc.tuple(value, value), { minLength: 2, maxLength: 40 })
const unzip = (both: readonly (readonly [number, number])[]) => [both.map(([a]) => a), both.map(([, b]) => b)] as const

const hundredths = fc.integer({ min: -500, max: 500 }).map((n) => n / 100)
const binary = fc.integer({ min: 0, max: 1 })
const severalClasses = fc.integer({ min: 0, max: 3 })

describe(`laws of the metrics, seed ${SEED}`, () => {
  it('no metric changes when the examples are permuted', () => {
    const law = (metric: (p: number[], l: number[]) => number, value: fc.Arbitrary<number>): void =>
      fc.assert(
        fc.property(
          pairs(value).chain((both) => fc.tuple(fc.constant(both), fc.shuffledSubarray(both, { minLength: both.length }))),
          ([both, shuffled]) => {
            expect(metric(...unzip(shuffled))).toBeCloseTo(metric(...unzip(both)), 12)
          },
        ),
        runs,
      )
    law(accuracy, severalClasses)
    law(matthews, severalClasses)
    law(f1, binary)
    law(pearson, hundredths)
    law(spearman, hundredths)
  })

  it('accuracy and Matthews do not change when the classes are renamed', () => {
    const renamed = [2, 3, 1, 0]
    fc.assert(
      fc.property(pairs(severalClasses), (both) => {
        const [p, l] = unzip(both)
        const rename = (values: number[]) => values.map((value) => renamed[value] ?? NaN)
        expect(accuracy(rename(p), rename(l))).toBe(accuracy(p, l))
        expect(matthews(rename(p), rename(l))).toBeCloseTo(matthews(p, l), 12)
      }),
      runs,
    )
  })

  it('Matthews of a binary task is the Pearson correlation of the 0/1 values', () => {
    fc.assert(
      fc.property(pairs(binary), (both) => {
        expect(matthews(...unzip(both))).toBeCloseTo(pearson(...unzip(both)), 12)
      }),
      runs,
    )
  })

  it('F1 is the harmonic mean of precision and recall', () => {
    fc.assert(
      fc.property(
        pairs(binary).filter((both) => both.some(([p, l]) => p === 1 && l === 1)),
        (both) => {
          const right = both.filter(([p, l]) => p === 1 && l === 1).length
          const precision = right / both.filter(([p]) => p === 1).length
          const recall = right / both.filter(([, l]) => l === 1).length
          expect(f1(...unzip(both))).toBeCloseTo(2 / (1 / precision + 1 / recall), 12)
        },
      ),
      runs,
    )
  })

  it('Pearson does not change under x ↦ a·x + b with a > 0, and changes its sign with a < 0', () => {
    const factor = fc.integer({ min: 1, max: 1000 }).map((n) => n / 10)
    fc.assert(
      fc.property(pairs(hundredths), factor, hundredths, (both, a, b) => {
        const [x, y] = unzip(both)
        expect(
          pearson(
            x.map((value) => a * value + b),
            y,
          ),
        ).toBeCloseTo(pearson(x, y), 9)
        expect(
          pearson(
            x.map((value) => -a * value + b),
            y,
          ),
        ).toBeCloseTo(-pearson(x, y), 9)
      }),
      runs,
    )
  })

  it('Spearman does not change under a monotone map', () => {
    fc.assert(
      fc.property(pairs(hundredths), (both) => {
        const [x, y] = unzip(both)
        expect(
          spearman(
            x.map((value) => Math.exp(value)),
            y,
          ),
        ).toBe(spearman(x, y))
        expect(
          spearman(
            x,
            y.map((value) => value ** 3 + value),
          ),
        ).toBe(spearman(x, y))
      }),
      runs,
    )
  })

  it('correlations are symmetric, within [−1, 1], and 1 of a series with itself', () => {
    fc.assert(
      fc.property(pairs(hundredths), (both) => {
        const [x, y] = unzip(both)
        for (const metric of [pearson, spearman]) {
          expect(Math.abs(metric(x, y))).toBeLessThanOrEqual(1)
          expect(metric(y, x)).toBeCloseTo(metric(x, y), 12)
          expect(metric(x, x)).toBeCloseTo(new Set(x).size > 1 ? 1 : 0, 12)
        }
      }),
      runs,
    )
  })

  it('always predicting the majority class has its share as accuracy, and no other class has more', () => {
    fc.assert(
      fc.property(fc.array(severalClasses, { minLength: 1 }), (labels) => {
        const { label, share } = majorityClass(labels)
        expect(
          accuracy(
            labels.map(() => label),
            labels,
          ),
        ).toBe(share)
        for (const other of [0, 1, 2, 3])
          expect(
            accuracy(
              labels.map(() => other),
              labels,
            ),
          ).toBeLessThanOrEqual(share)
      }),
      runs,
    )
  })
})
