/** Multi-label classification: any number of classes per example, each decided by itself. */
import { labelSetColumn } from '../../data/labelColumn.js'
import { labelSeparator } from '../../data/labels.js'
import { sequenceTaskType, type Truth } from '../sequences/sequenceTaskType.js'
import type { Task } from '../task.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { mean } from 'simple-statistics'
import type { ClassReport } from '../../metrics/classification.js'

// Metrics of multi-label classification. A class is predicted if its logit is above 0, a probability above one half.
/** By example, its classes. */
export type LabelSets = readonly (readonly number[])[]
type Outputs = readonly (readonly number[])[]

export const predictedSets = (outputs: Outputs): LabelSets => outputs.map((logits) => logits.flatMap((x, i) => (x > 0 ? [i] : [])))

/** One report per class, as scikit-learn's `classification_report` of indicator matrices; a quotient of 0 / 0 is 0. */
export const reportBySets = (predictions: LabelSets, labels: LabelSets, classes: number): readonly ClassReport[] => {
  const [predicted, labeled, both] = [0, 1, 2].map(() => new Array<number>(classes).fill(0)) as [number[], number[], number[]]
  predictions.forEach((set, i) => {
    const labelSet = new Set(labels[i])
    for (const k of set) predicted[k] = (predicted[k] ?? 0) + 1
    for (const k of labelSet) labeled[k] = (labeled[k] ?? 0) + 1
    for (const k of set) if (labelSet.has(k)) both[k] = (both[k] ?? 0) + 1
  })
  const share = (part: number, total: number): number => (total === 0 ? 0 : part / total)
  return predicted.map((p, k) => {
    const [t, b] = [labeled[k] ?? 0, both[k] ?? 0]
    return { precision: share(b, p), recall: share(b, t), f1: share(2 * b, p + t), examples: t }
  })
}

/**
 * Scores of sets of labels.
 *  - accuracy: the share of examples whose predicted set equals the labels
 *  - microF1: 2·TP / (2·TP + FP + FN) over all examples and classes
 *  - macroF1: the unweighted mean of F1 over classes
 *  - loss: the mean binary cross-entropy over examples and classes
 */
export const scoreSets = (outputs: Outputs, labels: LabelSets): Readonly<Record<'accuracy' | 'microF1' | 'macroF1' | 'loss', number>> => {
  const predictions = predictedSets(outputs)
  const equal = predictions.filter((set, i) => set.length === new Set(labels[i]).size && set.every((k) => labels[i]?.includes(k)))
  const report = reportBySets(predictions, labels, outputs[0]?.length ?? 0)
  const both = predictions.reduce((sum, set, i) => sum + set.filter((k) => labels[i]?.includes(k)).length, 0)
  const total = predictions.reduce((sum, set, i) => sum + set.length + new Set(labels[i]).size, 0)
  return {
    accuracy: equal.length / labels.length,
    microF1: total === 0 ? 0 : (2 * both) / total,
    macroF1: mean(report.map(({ f1 }) => f1)),
    loss: mean(outputs.map((logits, i) => mean(logits.map((x, k) => binaryCrossEntropy(x, labels[i]?.includes(k) === true))))),
  }
}

/** −log σ(x), or −log(1 − σ(x)): max(x, 0) − x y + log(1 + e^−|x|) */
const binaryCrossEntropy = (x: number, isLabel: boolean): number => Math.max(x, 0) - (isLabel ? x : 0) + Math.log1p(Math.exp(-Math.abs(x)))

const toLabelSets = (truths: readonly Truth[]): LabelSets => truths.map((truth) => (typeof truth === 'number' ? [truth] : truth))

export const multiLabel = sequenceTaskType({
  name: 'multi-label',
  noun: 'a multi-label classification',
  problemType: 'multi_label_classification',
  refuses: {
    positiveLabel: words`none with ${option('problemType')} multi-label, where every class has its own F1`,
    classWeights: words`none with ${option('problemType')} multi-label`,
  },
  file: { labels: labelSetColumn, metrics: [], selectionMetric: 'microF1' },
  commonMetrics: () => ['accuracy', 'microF1', 'macroF1', 'loss'],
  scoreSet: (_, outputs, truths) => ({ scores: scoreSets(outputs, toLabelSets(truths)), constant: null }),
  toPrediction: (logits) => predictedSets([logits])[0] ?? [],
  toError: (logits, truth) => {
    const [[predicted = []], labels] = [predictedSets([logits]), toLabelSets([truth])]
    const { accuracy, loss } = scoreSets([logits], labels)
    return accuracy === 1 ? null : { predicted, loss }
  },
  report: (outputs, truths, classes) => ({
    byClass: reportBySets(predictedSets(outputs), toLabelSets(truths), classes),
    confusion: null,
  }),
  predictions: {
    columns: ['label'],
    scoresClasses: true,
    /** scores: σ(logit); a class holds if its logit is above 0 */
    predict: (logits, labelNames) => {
      const shares = logits.map((logit, i) => [labelNames[i] ?? '', 1 / (1 + Math.exp(-logit))] as const)
      const labels = shares.filter((_, i) => (logits[i] ?? 0) > 0).map(([name]) => name)
      return { json: { labels, scores: Object.fromEntries(shares) }, cells: [labels.join(labelSeparator)] }
    },
  },
})

export const multiLabelTask: Task = { types: [multiLabel] }
