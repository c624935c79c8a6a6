/** Metrics of predicted classes: accuracy, F1, macro F1 and Matthews' correlation coefficient, and the counts they come from. */
import { assertSameLength } from './losses.js'

type Classes = readonly number[]

/** How often a class was predicted, labeled, and both at once. */
export type ClassCount = { readonly predicted: number; readonly labeled: number; readonly both: number }

/** Counts for each class among predictions or labels, in ascending order. @param metric the caller's name, for its errors */
export const classCounts = (predictions: Classes, labels: Classes, metric = 'classCounts'): ReadonlyMap<number, ClassCount> => {
  assertSameLength(metric, predictions, labels)
  const counts = new Map<number, { predicted: number; labeled: number; both: number }>()
  const findCount = (value: number) => {
    const count = counts.get(value) ?? { predicted: 0, labeled: 0, both: 0 }
    counts.set(value, count)
    return count
  }
  predictions.forEach((prediction, i) => {
    findCount(prediction).predicted += 1
    findCount(labels[i] as number).labeled += 1
    if (prediction === labels[i]) findCount(prediction).both += 1
  })
  return new Map([...counts].sort(([a], [b]) => a - b))
}

/** The share of predictions that equal their labels, in [0, 1]. */
export const accuracy = (predictions: Classes, labels: Classes): number => {
  assertSameLength('accuracy', predictions, labels)
  return predictions.filter((prediction, i) => prediction === labels[i]).length / labels.length
}

/** F1 = 2·TP / (2·TP + FP + FN), in [0, 1]; 0 if the class is neither labeled nor predicted, as in scikit-learn's `f1_score`. */
const countToF1 = ({ predicted, labeled, both }: ClassCount): number => (predicted + labeled === 0 ? 0 : (2 * both) / (predicted + labeled))

const never: ClassCount = { predicted: 0, labeled: 0, both: 0 }

/** F1 of one class, the positive one, against all others. */
export const f1ForClass =
  (positive: number) =>
  (predictions: Classes, labels: Classes): number =>
    countToF1(classCounts(predictions, labels, 'f1').get(positive) ?? never)

/** F1 of class 1 of a binary task. @throws Error for any other class than 0 and 1 */
export const f1 = (predictions: Classes, labels: Classes): number => {
  const other = [...classCounts(predictions, labels, 'f1').keys()].find((value) => value !== 0 && value !== 1)
  if (other !== undefined) throw new Error(`f1: expected classes 0 and 1, got ${other}`)
  return f1ForClass(1)(predictions, labels)
}

/**
 * The unweighted mean of F1 over the classes 0 to `classes` − 1, as scikit-learn's `f1_score(labels=all, average='macro', zero_division=0)`: a class
 * that is neither labeled nor predicted counts as 0, so labels of one class alone do not score 1.
 * @param classes of the task; by default the mean is over the classes that occur, as scikit-learn's without `labels`
 */
export const macroF1 = (predictions: Classes, labels: Classes, classes?: number): number => {
  const counts = [...classCounts(predictions, labels, 'macroF1').values()]
  return counts.reduce((sum, count) => sum + countToF1(count), 0) / (classes ?? counts.length)
}

/**
 * Matthews' correlation coefficient, for any number of classes (Gorodkin, 2004), in [−1, 1]:
 *   (c·n − Σₖ pₖ tₖ) / (√(n² − Σₖ pₖ²) · √(n² − Σₖ tₖ²)).
 * Of n examples, c are right. Class k is predicted pₖ times and labeled tₖ times.
 * The coefficient is 0 if predictions or labels are all of one class, as in scikit-learn's `matthews_corrcoef`.
 */
export const matthews = (predictions: Classes, labels: Classes): number => {
  const counts = [...classCounts(predictions, labels, 'matthews').values()]
  const n = labels.length
  const sum = (term: (count: ClassCount) => number): number => counts.reduce((total, count) => total + term(count), 0)
  const spread = (n * n - sum(({ predicted }) => predicted ** 2)) * (n * n - sum(({ labeled }) => labeled ** 2)) // exactly 0 then: counts are integers
  const covariance = n * sum(({ both }) => both) - sum(({ predicted, labeled }) => predicted * labeled)
  return spread === 0 ? 0 : covariance / Math.sqrt(spread)
}

/** Precision, recall and F1 of one class against the others; a quotient of 0 / 0 is 0. */
export type ClassReport = {
  readonly precision: number
  readonly recall: number
  readonly f1: number
  /** examples with this label */
  readonly examples: number
}

/** One report per class in `classes`, as scikit-learn's `classification_report`. */
export const reportByClass = (predictions: Classes, labels: Classes, classes: Classes): readonly ClassReport[] => {
  const counts = classCounts(predictions, labels, 'reportByClass')
  return classes.map((value) => {
    const count = counts.get(value) ?? never
    const { predicted, labeled, both } = count
    return {
      precision: predicted === 0 ? 0 : both / predicted,
      recall: labeled === 0 ? 0 : both / labeled,
      f1: countToF1(count),
      examples: labeled,
    }
  })
}

/** Counts of examples by label (rows) and prediction (columns), of classes 0 to `classes` − 1, as scikit-learn's `confusion_matrix`. */
export const confusionMatrix = (predictions: Classes, labels: Classes, classes: number): readonly (readonly number[])[] => {
  assertSameLength('confusionMatrix', predictions, labels)
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0))
  predictions.forEach((prediction, i) => {
    const row = matrix[labels[i] as number]
    if (row?.[prediction] !== undefined) row[prediction] += 1
  })
  return matrix
}

/** The majority-class baseline, and the detection of constant predictions. */

export type MajorityClass = {
  readonly label: number
  readonly count: number
  /** The accuracy of always answering `label`, in [0, 1]. */
  readonly share: number
}

/** The most frequent label; among equals, the smallest. @throws Error if there is no label */
export const majorityClass = (labels: readonly number[]): MajorityClass => {
  const counts = new Map<number, number>()
  labels.forEach((label) => counts.set(label, (counts.get(label) ?? 0) + 1))
  const [first] = Array.from(counts).sort(([a, m], [b, n]) => n - m || a - b)
  if (first === undefined) throw new Error('majorityClass: expected at least one label, got none')
  const [label, count] = first
  return { label, count, share: count / labels.length }
}

/**
 * The one value that all predictions share. It is null if they differ by more than `tolerance` (in the predictions' units; 0 for
 * classes), or if there are fewer than two. It detects a collapsed training whose accuracy looks fair.
 */
export const constantPrediction = (predictions: readonly number[], tolerance = 0): number | null => {
  const [first] = predictions
  if (first === undefined || predictions.length < 2) return null
  const [least, most] = predictions.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [first, first])
  return most - least <= tolerance ? first : null
}
