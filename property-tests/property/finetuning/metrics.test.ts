/** Metrics against numbers of scikit-learn 1.9.1 and SciPy 1.17.1, and against sums computed by hand. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  accuracy,
  confusionMatrix,
  constantPrediction,
  crossEntropy,
  f1,
  f1ForClass,
  macroF1,
  mae,
  majorityClass,
  matthews,
  METRICS,
  mse,
  pearson,
  reportByClass,
  score,
  selectionScore,
  spearman,
} from '../../../finetuning/metrics/index.js'
import { SEED } from '../../support/seed.js'
import type { TaskType } from '../../../finetuning/tasks/taskType.js'
import { decodeTags } from '../../../finetuning/tasks/tokenClassification/index.js'
import { singleLabel } from '../../../finetuning/tasks/classification/index.js'
import { regression } from '../../../finetuning/tasks/regression/index.js'

describe('metrics of worked examples', () => {
  // TP = 5, FP = 1, FN = 1, TN = 3: accuracy 8/10, F1 = 10/12, MCC = (5·3 − 1·1)/√(6·6·4·4) = 14/24.
  const labels = [1, 0, 1, 1, 0, 1, 0, 0, 1, 1]
  const predictions = [1, 0, 0, 1, 0, 1, 1, 0, 1, 1]

  it('gives a binary task the accuracy, F1 and Matthews coefficient of scikit-learn', () => {
    expect(accuracy(predictions, labels)).toBe(0.8)
    expect(f1(predictions, labels)).toBeCloseTo(0.8333333333333334, 15)
    expect(matthews(predictions, labels)).toBeCloseTo(0.5833333333333334, 15)
  })

  it('gives a task of three classes the accuracy and Matthews coefficient of scikit-learn', () => {
    const three = [0, 1, 2, 0, 1, 2, 2, 1, 0, 2, 1, 0]
    const guess = [0, 2, 2, 0, 1, 1, 2, 1, 1, 2, 1, 0]
    expect(accuracy(guess, three)).toBe(0.75)
    expect(matthews(guess, three)).toBeCloseTo(0.6316139407998892, 14)
  })

  it('gives the opposite of every label accuracy 0, F1 0 and Matthews −1', () => {
    expect([accuracy, f1, matthews].map((metric) => metric([0, 0, 1, 1], [1, 1, 0, 0]))).toEqual([0, 0, -1])
  })

  it('counts class 1 as the positive class of F1, and not the more frequent one', () => {
    expect(f1([0, 0, 0, 1], [0, 0, 1, 1])).toBeCloseTo(2 / 3, 15) // TP = 1, FP = 0, FN = 1; for class 0 it were 4/5
  })

  it('gives a constant prediction F1 0 and Matthews 0 where scikit-learn does', () => {
    expect(f1([0, 0, 0], [1, 0, 1])).toBe(0)
    expect(f1([0, 0], [0, 0])).toBe(0)
    expect(matthews([0, 0, 0], [1, 0, 1])).toBe(0)
    expect(matthews([1, 1], [1, 1])).toBe(0)
  })

  it('gives scores the Pearson and Spearman correlations of SciPy', () => {
    const human = [5.0, 4.75, 2.4, 0.0, 3.2, 1.0, 4.0, 2.8]
    const model = [4.6, 4.9, 2.0, 0.3, 3.9, 1.4, 3.1, 2.2]
    expect(pearson(model, human)).toBeCloseTo(0.9480626306813235, 14)
    expect(spearman(model, human)).toBeCloseTo(0.9523809523809524, 14)
  })

  it('gives tied scores the mean of their ranks, as SciPy does', () => {
    const human = [1, 2, 2, 3, 5, 5, 5, 0]
    const model = [2, 1, 4, 4, 6, 3, 6, 1]
    expect(spearman(model, human)).toBeCloseTo(0.7625595772943051, 14)
    expect(pearson(model, human)).toBeCloseTo(0.7809521932130437, 14)
  })

  it('gives a constant series correlation 0 though its mean is rounded', () => {
    expect(pearson([0.1, 0.1, 0.1], [1, 2, 3])).toBe(0)
    expect(spearman([1, 2, 3], [0.7, 0.7, 0.7])).toBe(0)
  })

  it('gives the macro F1 of the examples of scikit-learn', () => {
    expect(macroF1([0, 2, 1, 0, 0, 1], [0, 1, 2, 0, 1, 2])).toBeCloseTo(0.26666666666666666, 15)
    expect(macroF1([0, 0, 2, 2, 1], [0, 1, 2, 2, 2])).toBeCloseTo((2 / 3 + 0 + 0.8) / 3, 15)
  })

  it('gives the macro F1 of all classes of a task, of which the rows may lack some', () => {
    // f1_score([0, 0, 0], [0, 0, 0], labels=[0, 1, 2], average='macro', zero_division=0), and of [1, 1, 3], [1, 2, 3] with labels 0 to 4
    expect([macroF1([0, 0, 0], [0, 0, 0], 3), macroF1([1, 1, 3], [1, 2, 3], 5)]).toEqual([1 / 3, (2 / 3 + 0 + 1) / 5])
  })

  it('gives the report by class and the confusion matrix of the examples of scikit-learn', () => {
    expect(reportByClass([0, 0, 2, 2, 1], [0, 1, 2, 2, 2], [0, 1, 2])).toEqual([
      { precision: 0.5, recall: 1, f1: 2 / 3, examples: 1 },
      { precision: 0, recall: 0, f1: 0, examples: 1 },
      { precision: 1, recall: 2 / 3, f1: 0.8, examples: 3 },
    ])
    expect(confusionMatrix([0, 0, 2, 2, 0, 2], [2, 0, 2, 2, 0, 1], 3)).toEqual([
      [2, 0, 0],
      [0, 0, 1],
      [1, 0, 2],
    ])
  })

  it('gives the log loss, the mean squared and the mean absolute error of the examples of scikit-learn', () => {
    const shares = [
      [0.1, 0.9],
      [0.9, 0.1],
      [0.8, 0.2],
      [0.35, 0.65],
    ]
    const logits = shares.map((row, i) => row.map((share) => Math.log(share) + 100 * i)) // a softmax ignores a number added to all
    expect(crossEntropy(logits, [1, 0, 0, 1])).toBeCloseTo(0.21616187468057912, 13)
    expect([mse([2.5, 0, 2, 8], [3, -0.5, 2, 7]), mae([2.5, 0, 2, 8], [3, -0.5, 2, 7])]).toEqual([0.375, 0.5])
  })

  it('computes the loss of logits whose exponential overflows', () => {
    expect(crossEntropy([[1e30, 0]], [0])).toBe(0)
    expect(crossEntropy([[1e30, 0]], [1])).toBe(1e30)
  })

  it('counts a hundred thousand classes quickly', () => {
    const many = Array.from({ length: 100_000 }, (_, i) => i)
    const began = performance.now()
    expect([accuracy(many, many), macroF1(many, many), matthews(many, many)]).toEqual([1, 1, 1])
    expect(performance.now() - began).toBeLessThan(60_000) // class by class over all examples it would take minutes
  })

  it('correlates numbers whose squares overflow or vanish', () => {
    expect(pearson([1e200, 2e200, 3e200], [1, 2, 3])).toBeCloseTo(1, 14)
    expect(pearson([1e-200, 2e-200, 3e-200], [3, 2, 1])).toBeCloseTo(-1, 14)
  })

  it('keeps the digits of small differences beside a large offset: r does not change with a shift that rounds nothing', () => {
    const [x, y] = [Array.from({ length: 40 }, (_, i) => ((i * 37) % 101) / 1024), Array.from({ length: 40 }, (_, i) => (i * 53) % 89)]
    const shifted = x.map((one) => one + 1e12)
    expect(shifted.map((one) => one - 1e12)).toEqual(x)
    expect(pearson(shifted, y)).toBeCloseTo(pearson(x, y), 12)
  })
})

describe('a metric', () => {
  it('throws on lists of different lengths, on empty lists, and on a prediction that is NaN, and names itself', () => {
    for (const [name, metric] of Object.entries(METRICS)) {
      expect(() => metric([1, 0], [1])).toThrow(`${name}: expected as many predictions as labels and at least one, got 2 and 1`)
      expect(() => metric([], [])).toThrow(`${name}: expected as many`)
      expect(() => metric([1, NaN], [1, 0])).toThrow(`${name}: expected finite numbers, got prediction 1 = NaN`)
    }
  })

  it('throws if F1 meets a third class', () => {
    expect(() => f1([0, 2], [0, 1])).toThrow('f1: expected classes 0 and 1, got 2')
  })
})

describe('scores and selection', () => {
  const classes = { metrics: ['accuracy', 'matthews'] }
  // 40 of praise and 2 complaints, all taken for praise: an F1 of praise would be 0.9756
  const [labels, outputs] = [Array.from({ length: 42 }, (_, i) => (i < 2 ? 0 : 1)), Array.from({ length: 42 }, () => [0, 1])]

  /** Scores as a task type of this data computes them. */
  const scoreOutputs = (
    taskType: TaskType,
    { metrics, positive }: { readonly metrics: readonly string[]; readonly positive?: number },
    answers: readonly (readonly number[])[],
    truths: readonly number[],
    second?: { readonly name: string; readonly from: number },
  ) => {
    const examples = truths.map((label, row) => ({ text: '', label, row }))
    const evaluation = { source: 'data', examples, labelNames: null, skipped: [], ...(second === undefined ? {} : { second }) }
    const scoring = { taskType, metrics, selectionMetric: metrics[0] ?? 'loss', ...(positive === undefined ? {} : { positive }) }
    return taskType.bind({ ...scoring, evaluation, labelNames: null }).score(answers)
  }

  it('scores F1 only if a positive class is named, and macro F1 always', () => {
    const { scores, constant } = scoreOutputs(singleLabel, classes, outputs, labels)
    expect(Object.keys(scores)).toEqual(['accuracy', 'matthews', 'macroF1', 'loss'])
    expect(scores['macroF1']).toBeCloseTo(80 / 82 / 2, 15)
    expect(scores['loss']).toBeCloseTo(Math.log(1 + Math.E) - 40 / 42, 14)
    expect(constant).toBe('1')
    const ofOneClass = scoreOutputs(
      singleLabel,
      classes,
      [
        [0, 2, 1],
        [0, 1, 0],
      ],
      [1, 1],
    )
    expect(ofOneClass.scores).toMatchObject({ accuracy: 1, macroF1: 1 / 3 })
  })

  it('scores F1 of the named class, whichever it is', () => {
    expect(scoreOutputs(singleLabel, { ...classes, positive: 0 }, outputs, labels).scores['f1']).toBe(0)
    expect(scoreOutputs(singleLabel, { ...classes, positive: 1 }, outputs, labels).scores['f1']).toBeCloseTo(0.975609756097561, 15)
    expect(f1ForClass(2)([0, 2, 2, 1], [2, 2, 0, 1])).toBe(0.5) // one class against two others
  })

  it('takes the first of equal logits, as NumPy and PyTorch do', () => {
    const tied = [
      [2, 2, 1],
      [0, 3, 3],
      [-1, -1, -1],
    ]
    expect(scoreOutputs(singleLabel, { metrics: ['accuracy'] }, tied, [0, 1, 0]).scores['accuracy']).toBe(1)
    const names = ['O', 'B-PER', 'I-PER']
    expect(decodeTags(tied, names, 4)).toEqual(['O', 'B-PER', 'O', 'O']) // the fourth word was cut off
  })

  it('gives a regression its errors beside its correlations', () => {
    const correlated = { metrics: ['pearson', 'spearman'] }
    expect(scoreOutputs(regression, correlated, [[1], [2], [4]], [1, 2, 3]).scores).toMatchObject({ spearman: 1, mse: 1 / 3, mae: 1 / 3 })
  })

  it('scores a second dataset separately, by the metrics of the task only', () => {
    const example = fc.tuple(fc.tuple(fc.double({ min: -5, max: 5, noNaN: true }), fc.double({ min: -5, max: 5, noNaN: true })), fc.nat(1))
    fc.assert(
      fc.property(fc.array(example, { minLength: 1 }), fc.array(example, { minLength: 1 }), (first, second) => {
        const of = (examples: typeof first, from?: number) =>
          scoreOutputs(
            singleLabel,
            classes,
            examples.map(([output]) => output),
            examples.map(([, label]) => label),
            from === undefined ? undefined : { name: 'mismatched', from },
          )
        const [both, one, other] = [of([...first, ...second], first.length), of(first), of(second)]
        const { accuracy, matthews: correlation } = other.scores
        expect(both).toEqual({ ...one, scores: { ...one.scores, mismatchedAccuracy: accuracy, mismatchedMatthews: correlation } })
      }),
      { seed: SEED },
    )
  })

  it('selects the smaller loss or error, and averages only the metrics of the task', () => {
    for (const name of ['loss', 'mse', 'mae'] as const)
      expect(selectionScore(name)({ [name]: 0.2 })).toBeGreaterThan(selectionScore(name)({ [name]: 0.3 }))
    expect(selectionScore('mean', ['accuracy', 'f1'])({ accuracy: 0.75, f1: 0.25, macroF1: 0.9, loss: 7 })).toBe(0.5)
  })

  it('scores only the requested metrics', () => {
    expect(score(['accuracy', 'f1'])([1, 1, 0, 0], [1, 0, 0, 0])).toEqual({ accuracy: 0.75, f1: 2 / 3 })
  })

  it('selects by one metric, or by the unweighted mean of all that were scored', () => {
    expect(selectionScore('f1')({ accuracy: 0.8, f1: 0.9 })).toBe(0.9)
    expect(selectionScore('mean')({ accuracy: 0.75, f1: 0.25 })).toBe(0.5)
    expect(() => selectionScore('pearson')({ accuracy: 1 })).toThrow('selectionScore: expected a score of pearson')
    expect(() => selectionScore('mean')({})).toThrow('selectionScore: expected a score of mean')
  })
})

describe('baselines', () => {
  it('find the most frequent class and its share, and the smaller of two equally frequent ones', () => {
    expect(majorityClass([2, 0, 2, 1])).toEqual({ label: 2, count: 2, share: 0.5 })
    expect(majorityClass([1, 0])).toEqual({ label: 0, count: 1, share: 0.5 })
    expect(() => majorityClass([])).toThrow('majorityClass: expected at least one label, got none')
  })

  it('detect constant predictions, exactly or within a tolerance', () => {
    expect(constantPrediction([1, 1, 1])).toBe(1)
    expect(constantPrediction([0, 0])).toBe(0)
    expect(constantPrediction([1, 1, 0])).toBeNull()
    expect(constantPrediction([1])).toBeNull()
    expect(constantPrediction([2.5, 2.5001])).toBeNull()
    expect(constantPrediction([2.5, 2.5001], 0.001)).toBe(2.5)
  })
})
