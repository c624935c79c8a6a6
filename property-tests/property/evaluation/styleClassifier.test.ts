/** ACC with a classifier made by hand: which answer counts, in which order of classes, beside what the classifier gets right itself. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { classifyWith } from '../../../evaluation/styleTransfer/styleTransfer.js'
import { scoreDirection } from '../../../evaluation/styleTransfer/scores.js'
import { classifyStyles, styleClassifier } from '../../../evaluation/styleTransfer/styleClassifier.js'
import type { TrainedAdapter } from '../../../finetuning/use/openModel.js'
import { SEED } from '../../support/seed.js'

/** Takes a line for positive that has more + than -, whose numbers are its logits (a half more of -); `names` is the order of its outputs. */
const byMarks = (names: readonly string[] = ['negative', 'positive']) => {
  const batches: (readonly string[])[] = []
  const adapter: TrainedAdapter = {
    device: 'paper',
    outputs: { head: 'sequence', labels: names.length, problemType: 'single_label_classification' },
    labelNames: names,
    predict: async (texts) => {
      batches.push(texts.map(({ text }) => text))
      return texts.map(({ text }) => {
        const [plus, minus] = [text.split('+').length - 1, text.split('-').length - 1]
        return names.map((name) => (name === 'positive' ? plus : minus + 0.5))
      })
    },
    release: async () => undefined,
  }
  return { adapter, batches, classifier: styleClassifier('yelp', adapter, 'byhand') }
}

const marks = fc.array(fc.string({ unit: fc.constantFrom('+', '-', ' ', 'A'), maxLength: 6 }), {
  minLength: 1,
  maxLength: 700,
  size: 'max',
})
const isPositive = (text: string): boolean => [...text].filter((c) => c === '+').length > [...text].filter((c) => c === '-').length

/** With as many + as -, the half logit makes it negative. */
const isRight = (text: string, from: 0 | 1): boolean => text.trim() !== '' && isPositive(text) === (from === 0)

describe('classifyStyles', () => {
  it('gives each line, in order, the probability of its style, for either order of the outputs', async () => {
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

  it('reads lines as in training: in lower case, without blanks around them', async () => {
    const { classifier, batches } = byMarks()
    await classifyStyles(classifier, ['  Good FOOD + \r'])
    expect(batches).toEqual([['good food +']])
  })

  it('classifies in batches of bounded size, reports progress after each, and starts none after an abort', async () => {
    const { classifier, batches } = byMarks()
    const stop = new AbortController()
    const done: number[] = []
    const onProgress = (count: number): void => {
      done.push(count)
      if (count > 500) stop.abort(new Error('enough'))
    }
    await expect(classifyStyles(classifier, new Array<string>(10_000).fill('+'), { onProgress, signal: stop.signal })).rejects.toThrow(
      'enough',
    )
    expect(done).toEqual([256, 512])
    expect(batches.map(({ length }) => length)).toEqual([256, 256])
  })

  it('names the line whose outputs are not finite', async () => {
    const { adapter } = byMarks()
    const broken = { ...adapter, predict: async (texts: readonly unknown[]) => texts.map((_, i) => [0, i === 1 ? NaN : 1]) }
    await expect(classifyStyles(styleClassifier('yelp', broken, 'x'), ['a', 'b'])).rejects.toThrow(
      /^line 2: expected finite outputs of the classifier of styles, got 0, NaN$/,
    )
  })
})

describe('the accuracy of transfers (ACC)', () => {
  const judges = () => {
    const { classifier } = byMarks()
    return { classify: classifyWith(classifier, new AbortController().signal), models: [null, null] as const }
  }

  it('is the share of lines that are classified as the other style; an empty line is in neither', () =>
    fc.assert(
      fc.asyncProperty(marks, fc.constantFrom<0 | 1>(0, 1), async (lines, from) => {
        const { scores, sentences } = await scoreDirection({ from, references: [lines] }, lines, judges())
        const right = lines.filter((text) => text.trim() !== '' && isPositive(text) === (from === 0))
        expect(scores.accuracy).toBeCloseTo((100 * right.length) / lines.length, 10)
        expect(scores.empty).toBe(lines.filter((text) => text.trim() === '').length)
        sentences.forEach(({ probability }, i) => expect((probability ?? NaN) > 0.5).toBe(isRight(lines[i] ?? '', from)))
      }),
      { seed: SEED, numRuns: 40 },
    ))

  it('the accuracy of unchanged sources is the error of the classifier on them', async () => {
    const lines = ['+', '-', '+', '+']
    const of = async (from: 0 | 1) => (await scoreDirection({ from, references: [lines] }, lines, judges())).scores.accuracy
    expect([await of(0), await of(1)]).toEqual([75, 25])
  })
})

describe('a classifier of other labels', () => {
  const refused = (change: Partial<TrainedAdapter>): string => {
    try {
      styleClassifier('yelp', { ...byMarks().adapter, ...change }, 'runs/other')
      return 'no problem'
    } catch (thrown) {
      return thrown instanceof Error ? thrown.message : ''
    }
  }
  const line = 'runs/other: expected a classifier of two styles (negative, positive), got'

  it('is refused in one line that names its labels or its problem type', () => {
    expect(refused({})).toBe('no problem')
    expect(refused({ labelNames: ['bad', 'good'] })).toBe(`${line} bad, good`)
    expect(refused({ labelNames: ['negative', 'neutral'] })).toBe(`${line} negative, neutral`)
    expect(refused({ labelNames: undefined })).toBe(`${line} classes without names`)
    expect(
      refused({
        outputs: { head: 'sequence', labels: 3, problemType: 'single_label_classification' },
        labelNames: ['negative', 'neutral', 'positive'],
      }),
    ).toBe(`${line} one of 3 classes`)
    expect(refused({ outputs: { head: 'sequence', labels: 1, problemType: 'regression' }, labelNames: undefined })).toBe(
      `${line} a regression`,
    )
    expect(refused({ outputs: { head: 'sequence', labels: 2, problemType: 'multi_label_classification' } })).toBe(
      `${line} a multi-label classification`,
    )
  })
})
