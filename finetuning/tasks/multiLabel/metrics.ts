/** Metrics of multi-label classification. A class is predicted if its logit is above 0, a probability above one half. */
import { mean } from 'simple-statistics'
import type { ClassReport } from '../../metrics/classification.js'

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
