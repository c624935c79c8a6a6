/** ACC with a classifier made by hand: which answer counts, in which order of classes, beside what the classifier gets right itself. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { classifyStyles, styleAccuracy, styleClassifier } from '../../evaluation/styleTransfer/styleClassifier.js'
import type { TrainedAdapter } from '../../evaluation/trainedAdapter.js'
import { SEED } from '../support/seed.js'

/** Takes a line for positive that has more + than -, whose numbers are its logits (a half more of -); `names` is the order of its outputs. */
const byMarks = (names: ReadonlyArray<string> = ['negative', 'positive']) => {
  const asked: ReadonlyArray<string>[] = []
  const adapter: TrainedAdapter = {
    device: 'paper',
    outputs: { problem: 'classification', labels: names.length },
    labelNames: names,
    predict: async (texts) => {
      asked.push(texts.map(({ text }) => text))
      return texts.map(({ text }) => {
        const [plus, minus] = [text.split('+').length - 1, text.split('-').length - 1]
        return names.map((name) => (name === 'positive' ? plus : minus + 0.5))
      })
    },
    release: async () => undefined,
  }
  return { adapter, asked, classifier: styleClassifier('yelp', adapter, 'byhand') }
}

const marks = fc.array(fc.string({ unit: fc.constantFrom('+', '-', ' ', 'A'), maxLength: 6 }), { minLength: 1, maxLength: 700 })
const isPositive = (text: string): boolean => [...text].filter((c) => c === '+').length > [...text].filter((c) => c === '-').length

describe('lines', () => {
  it('are answered one by one in their order with the probability of their style, whatever the order of the outputs', async () => {
    for (const names of [
      ['negative', 'positive'],
      ['positive', 'negative'],
    ]) {
      const answers = await classifyStyles(byMarks(names).classifier, ['+++', '-', ''])
      expect(answers.map(({ style, label }) => [style, label])).toEqual([
        [1, 'positive'],
        [0, 'negative'],
        [0, 'negative'],
      ])
      // softmax of (0.5, 3), (1.5, 0) and (0.5, 0)
      const expected = [Math.exp(3) / (Math.exp(3) + Math.exp(0.5)), 1 / (1 + Math.exp(-1.5)), 1 / (1 + Math.exp(-0.5))]
      answers.forEach(({ score }, i) => expect(score).toBeCloseTo(expected[i] ?? NaN, 12))
    }
  })

  it('are read as the training lines were: in lower case, without blanks around them', async () => {
    const { classifier, asked } = byMarks()
    await classifyStyles(classifier, ['  Good FOOD + \r'])
    expect(asked).toEqual([['good food +']])
  })

  it('are taken a bounded number at a time, each of which is told, and none after a signal', async () => {
    const { classifier, asked } = byMarks()
    const stop = new AbortController()
    const done: number[] = []
    const told = (count: number): void => {
      done.push(count)
      if (count > 500) stop.abort(new Error('enough'))
    }
    await expect(classifyStyles(classifier, new Array<string>(10_000).fill('+'), { told, signal: stop.signal })).rejects.toThrow('enough')
    expect(done).toEqual([256, 512])
    expect(asked.map(({ length }) => length)).toEqual([256, 256])
  })

  it('whose answer is no number are refused by their place', async () => {
    const { adapter } = byMarks()
    const broken = { ...adapter, predict: async (texts: ReadonlyArray<unknown>) => texts.map((_, i) => [0, i === 1 ? NaN : 1]) }
    await expect(classifyStyles(styleClassifier('yelp', broken, 'x'), ['a', 'b'])).rejects.toThrow(
      /^line 2: expected finite outputs of the classifier of styles, found 0, NaN$/,
    )
  })
})

describe('ACC', () => {
  it('is the share of lines that are taken for the other style, beside the share of test lines that are taken for their own', () =>
    fc.assert(
      fc.asyncProperty(marks, marks, marks, marks, async (toPositive, toNegative, negative, positive) => {
        const share = (lines: ReadonlyArray<string>, wanted: boolean) =>
          lines.filter((text) => isPositive(text) === wanted).length / lines.length
        const done: number[] = []
        const found = await styleAccuracy(
          byMarks().classifier,
          { transferred: [toPositive, toNegative], test: [negative, positive] },
          { told: (count) => done.push(count) },
        )
        expect(found).toEqual({
          accuracy: [share(toPositive, true), share(toNegative, false)],
          lines: [toPositive.length, toNegative.length],
          classifierAccuracy: [share(negative, false), share(positive, true)],
          classifierLines: [negative.length, positive.length],
        })
        expect(done).toEqual([...done].sort((a, b) => a - b))
        expect(done.at(-1)).toBe([toPositive, toNegative, negative, positive].flat().length)
      }),
      { seed: SEED, numRuns: 40 },
    ))

  it("of copied sources is the classifier's error", () =>
    fc.assert(
      fc.asyncProperty(marks, marks, async (negative, positive) => {
        const both = { transferred: [negative, positive], test: [negative, positive] } as const
        const { accuracy, classifierAccuracy } = await styleAccuracy(byMarks().classifier, both)
        accuracy.forEach((share, style) => expect(share).toBeCloseTo(1 - (classifierAccuracy[style] ?? NaN), 12))
      }),
      { seed: SEED, numRuns: 20 },
    ))

  it('of no lines is none', async () => {
    const of = (transferred: readonly [string[], string[]], test: readonly [string[], string[]]) =>
      styleAccuracy(byMarks().classifier, { transferred, test })
    await expect(of([['+'], []], [['-'], ['+']])).rejects.toThrow('transferred lines: expected at least one line of each style, found none')
    await expect(of([['+'], ['-']], [[], ['+']])).rejects.toThrow('test lines: expected at least one line of each style, found none')
  })
})

describe('a classifier of something else', () => {
  const refused = (change: Partial<TrainedAdapter>): string => {
    try {
      styleClassifier('yelp', { ...byMarks().adapter, ...change }, 'runs/other')
      return 'no problem'
    } catch (thrown) {
      return thrown instanceof Error ? thrown.message : ''
    }
  }
  const line = 'runs/other: expected a classifier of two styles (negative, positive), found'

  it('is refused in one line that says what it is of', () => {
    expect(refused({})).toBe('no problem')
    expect(refused({ labelNames: ['bad', 'good'] })).toBe(`${line} bad, good`)
    expect(refused({ labelNames: ['negative', 'neutral'] })).toBe(`${line} negative, neutral`)
    expect(refused({ labelNames: undefined })).toBe(`${line} classes without names`)
    expect(refused({ outputs: { problem: 'classification', labels: 3 }, labelNames: ['negative', 'neutral', 'positive'] })).toBe(
      `${line} one of 3 classes`,
    )
    expect(refused({ outputs: { problem: 'regression', labels: 1 }, labelNames: undefined })).toBe(`${line} a regression`)
    expect(refused({ outputs: { problem: 'multi-label', labels: 2 } })).toBe(`${line} a multi-label`)
  })
})
