/** Metrics by name, and the one number by which checkpoints compare. */
import { mean } from 'simple-statistics'
import { accuracy, f1, macroF1, matthews } from './classification.js'
import { pearson, spearman } from './correlation.js'
import { mae, mse } from './losses.js'

export type Metric = (predictions: readonly number[], labels: readonly number[]) => number

/** Metrics of one prediction per example. */
export const METRICS = { accuracy, f1, macroF1, matthews, pearson, spearman, mse, mae } as const satisfies Readonly<Record<string, Metric>>

/**
 * A metric of predictions, or one that needs more. `loss` needs logits, `microF1` label sets, and `perplexity` text. `precision` and `recall` need
 * entities; `margin` and rewards need pairs of answers, `accuracyNorm` needs choices, and `mrr`, `ndcg` and recall@10 need rankings.
 */
export type MetricName =
  | keyof typeof METRICS
  | 'loss'
  | 'microF1'
  | 'perplexity'
  | 'precision'
  | 'recall'
  | 'margin'
  | 'chosenReward'
  | 'rejectedReward'
  | 'accuracyNorm'
  | 'mrr'
  | 'ndcg'

const lowerIsBetter: readonly string[] = ['loss', 'perplexity', 'mse', 'mae'] satisfies readonly MetricName[]

export const isLowerBetter = (metric: string): boolean => lowerIsBetter.includes(metric)

/** `mean`: the unweighted mean of a task's own metrics, GLUE's convention. */
export type SelectionMetric = MetricName | 'mean'

export type MetricScores = Readonly<Partial<Record<MetricName, number>>>

/** Each of `metrics` of predicted classes or scores against the labels, in the order of `metrics`. */
export const score =
  (metrics: readonly (keyof typeof METRICS)[]) =>
  (predictions: readonly number[], labels: readonly number[]): MetricScores =>
    Object.fromEntries(metrics.map((name) => [name, METRICS[name](predictions, labels)]))

export const isPredictionMetric = (name: string): name is keyof typeof METRICS => Object.hasOwn(METRICS, name)

/** The name of a second set's metric among the scores: `mismatchedAccuracy`. */
export const secondSetMetric = (set: string, metric: string): string => `${set}${metric.charAt(0).toUpperCase()}${metric.slice(1)}`

/**
 * The number by which checkpoints compare; higher is better. @param metrics the task's own, which `mean` averages
 * @throws Error if `scores` lacks the metric
 */
export const selectionScore =
  (selection: string, metrics?: readonly string[]) =>
  (scores: Readonly<Record<string, number | undefined>>): number => {
    const values = (selection === 'mean' ? (metrics ?? Object.keys(scores)) : [selection]).map((name) => scores[name])
    const present = values.filter((value) => value !== undefined)
    if (present.length === 0) throw new Error(`selectionScore: expected a score of ${selection}, got ${JSON.stringify(scores)}`)
    return isLowerBetter(selection) ? -mean(present) : mean(present)
  }

// Metrics as the Hugging Face hub calls them, and as people do.
/** `type`: the name in the hub's registry of metrics */
type MetricTitle = { readonly type: string; readonly title: string }

const titles: Readonly<Record<MetricName, MetricTitle>> = {
  accuracy: { type: 'accuracy', title: 'Accuracy' },
  accuracyNorm: { type: 'accuracy', title: 'Accuracy (length-normalized)' },
  f1: { type: 'f1', title: 'F1' },
  macroF1: { type: 'f1', title: 'F1 (macro)' },
  microF1: { type: 'f1', title: 'F1 (micro)' },
  precision: { type: 'precision', title: 'Precision' },
  recall: { type: 'recall', title: 'Recall' },
  matthews: { type: 'matthews_correlation', title: "Matthews' correlation" },
  pearson: { type: 'pearsonr', title: "Pearson's correlation" },
  spearman: { type: 'spearmanr', title: "Spearman's correlation" },
  mse: { type: 'mse', title: 'Mean squared error' },
  mae: { type: 'mae', title: 'Mean absolute error' },
  mrr: { type: 'mrr', title: 'MRR@10' },
  ndcg: { type: 'ndcg', title: 'nDCG@10' },
  loss: { type: 'loss', title: 'Loss' },
  margin: { type: 'margin', title: 'Reward margin' },
  chosenReward: { type: 'chosen_reward', title: 'Reward of chosen answers' },
  rejectedReward: { type: 'rejected_reward', title: 'Reward of rejected answers' },
  perplexity: { type: 'perplexity', title: 'Perplexity' },
}

/** A metric that is not in the table is called by its own name. */
export const metricTitle = (metric: string): MetricTitle =>
  Object.hasOwn(titles, metric) ? titles[metric as MetricName] : { type: metric, title: metric }
