/** Metrics of predicted classes: accuracy, F1 of a binary task, Matthews' correlation coefficient. Each is in [−1, 1]. */
import { assertAligned } from './aligned.js'

type Classes = ReadonlyArray<number>

/** The share of predictions that equal their labels, in [0, 1]. */
export const accuracy = (predictions: Classes, labels: Classes): number => {
  assertAligned('accuracy', predictions, labels)
  return agreements(predictions, labels) / labels.length
}

/**
 * F1 = 2·TP / (2·TP + FP + FN) of class 1, in [0, 1]; 0 where there is neither a label nor a prediction of class 1, as
 * scikit-learn's `f1_score` has it. Throws on classes other than 0 and 1.
 */
export const f1 = (predictions: Classes, labels: Classes): number => {
  assertAligned('f1', predictions, labels)
  const other = [...predictions, ...labels].find((value) => value !== 0 && value !== 1)
  if (other !== undefined) throw new Error(`f1: expected classes 0 and 1, got ${other}`)
  const truePositives = predictions.filter((prediction, i) => prediction === 1 && labels[i] === 1).length
  const positives = occurrences(predictions, 1) + occurrences(labels, 1) // = 2·TP + FP + FN
  return positives === 0 ? 0 : (2 * truePositives) / positives
}

/**
 * Matthews' correlation coefficient, for any number of classes (Gorodkin, 2004): with n examples, c of them right, and
 * class k predicted pₖ times and labelled tₖ times,
 *   (c·n − Σₖ pₖ tₖ) / (√(n² − Σₖ pₖ²) · √(n² − Σₖ tₖ²)),
 * in [−1, 1]; 0 where predictions or labels are all of one class, as scikit-learn's `matthews_corrcoef` has it.
 */
export const matthews = (predictions: Classes, labels: Classes): number => {
  assertAligned('matthews', predictions, labels)
  const n = labels.length
  const classes = Array.from(new Set([...predictions, ...labels]))
  const p = classes.map((k) => occurrences(predictions, k))
  const t = classes.map((k) => occurrences(labels, k))
  const spread = (n * n - dot(p, p)) * (n * n - dot(t, t)) // 0 exactly, for counts are whole numbers
  return spread === 0 ? 0 : (agreements(predictions, labels) * n - dot(p, t)) / Math.sqrt(spread)
}

const agreements = (predictions: Classes, labels: Classes): number => predictions.filter((prediction, i) => prediction === labels[i]).length

const occurrences = (values: Classes, value: number): number => values.filter((other) => other === value).length

const dot = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)
