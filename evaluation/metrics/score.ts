/** Metrics by name, and the one number that says which checkpoint is the better. */
import { mean } from 'simple-statistics'
import { accuracy, f1, matthews } from './classification.js'
import { pearson, spearman } from './correlation.js'

export type Metric = (predictions: ReadonlyArray<number>, labels: ReadonlyArray<number>) => number

export const METRICS = { accuracy, f1, matthews, pearson, spearman } as const satisfies Readonly<Record<string, Metric>>

export type MetricName = keyof typeof METRICS

/** Greater is better for each metric. `mean`: the unweighted mean of a task's metrics, GLUE's convention. */
export type SelectionMetric = MetricName | 'mean'

export type MetricScores = Readonly<Partial<Record<MetricName, number>>>

/** Each of `metrics` of predicted classes or scores against the labels, in the order of `metrics`. */
export const score =
  (metrics: ReadonlyArray<MetricName>) =>
  (predictions: ReadonlyArray<number>, labels: ReadonlyArray<number>): MetricScores =>
    Object.fromEntries(metrics.map((name) => [name, METRICS[name](predictions, labels)]))

/** The number by which checkpoints are compared. Throws if `scores` lacks it. */
export const selectionScore =
  (selection: SelectionMetric) =>
  (scores: MetricScores): number => {
    const values = selection === 'mean' ? Object.values(scores) : [scores[selection]]
    const known = values.filter((value) => value !== undefined)
    if (known.length === 0) throw new Error(`selectionScore: expected a score of ${selection}, got ${JSON.stringify(scores)}`)
    return mean(known)
  }
