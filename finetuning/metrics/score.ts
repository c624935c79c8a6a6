/** Metrics by name, what a task is scored by, and the one number that says which checkpoint is the better. */
import { mean } from 'simple-statistics'
import type { SequenceTaskType } from '../../accelerated/objectives/taskType.js'
import { constantPrediction } from './baseline.js'
import { accuracy, f1, f1Of, macroF1, matthews } from './classification.js'
import { pearson, spearman } from './correlation.js'
import { scoreSets } from './labelSets.js'
import { crossEntropy, mae, mse } from './losses.js'

export type Metric = (predictions: ReadonlyArray<number>, labels: ReadonlyArray<number>) => number

export const METRICS = { accuracy, f1, macroF1, matthews, pearson, spearman, mse, mae } as const satisfies Readonly<Record<string, Metric>>

/** `loss` is the cross-entropy, which needs more than predictions; `microF1` is of sets of labels, `perplexity` of text. */
export type MetricName = keyof typeof METRICS | 'loss' | 'microF1' | 'perplexity'

const falling: ReadonlyArray<string> = ['loss', 'perplexity', 'mse', 'mae'] satisfies ReadonlyArray<MetricName>

/** Whether the smaller is the better. */
export const isFalling = (metric: string): boolean => falling.includes(metric)

/** `mean`: the unweighted mean of a task's own metrics, GLUE's convention. */
export type SelectionMetric = MetricName | 'mean'

export type MetricScores = Readonly<Partial<Record<MetricName, number>>>

/** How a task is scored. */
export type Scoring = SequenceScoring | TextScoring

/** Text is told by its loss and perplexity, token by token. */
export type TextScoring = {
  readonly taskType: 'causal'
  /** no others */
  readonly metrics: ReadonlyArray<never>
  readonly selectionMetric: SelectionMetric
  readonly positive?: number
}

export type SequenceScoring = {
  readonly taskType: SequenceTaskType
  /** the task's own, greater is better for each */
  readonly metrics: ReadonlyArray<keyof typeof METRICS>
  /** The metric of the best checkpoint; `mean` is the unweighted mean of `metrics`. */
  readonly selectionMetric: SelectionMetric
  /** the class that F1 is of; without it none is computed, since nobody can tell which class it should be */
  readonly positive?: number
}

/** Each of `metrics` of predicted classes or scores against the labels, in the order of `metrics`. */
export const score =
  (metrics: ReadonlyArray<keyof typeof METRICS>) =>
  (predictions: ReadonlyArray<number>, labels: ReadonlyArray<number>): MetricScores =>
    Object.fromEntries(metrics.map((name) => [name, METRICS[name](predictions, labels)]))

/** What anybody asks of such a task, whatever its own metrics are. */
const asked: Readonly<Record<Scoring['taskType'], (named: boolean) => ReadonlyArray<MetricName>>> = {
  classification: (named) => [...(named ? (['f1'] as const) : []), 'macroF1', 'loss'],
  regression: () => ['mse', 'mae'],
  'multi-label': () => ['accuracy', 'microF1', 'macroF1', 'loss'],
  causal: () => ['loss', 'perplexity'],
}

/** Every metric that such a task is told by: its own first. */
export const metricsOf = ({ taskType, metrics, positive }: Scoring): ReadonlyArray<MetricName> => [
  ...new Set<MetricName>([...metrics, ...asked[taskType](positive !== undefined)]),
]

const isOfPredictions = (name: MetricName): name is keyof typeof METRICS => Object.hasOwn(METRICS, name)

/** Classes by the largest logit; a regression's output as it is. */
export const predictionOf = (problem: SequenceTaskType, output: ReadonlyArray<number>): number =>
  problem === 'regression' ? (output[0] ?? NaN) : output.reduce((best, x, i) => (x > (output[best] ?? -Infinity) ? i : best), 0)

export type ScoredOutputs = {
  readonly scores: Readonly<Record<string, number>>
  readonly predictions: ReadonlyArray<number>
  /** the class that every example is predicted as, where that is so */
  readonly constant: number | null
}

/** A class or a number; or the classes that hold. */
export type Truth = number | ReadonlyArray<number>

export const truthOf = ({ label, labels }: { readonly label: number; readonly labels?: ReadonlyArray<number> | undefined }): Truth =>
  labels ?? label

/**
 * Scores of a model's outputs, [examples][labels]: logits, or the number of a regression. Of sets of labels there are no `predictions` one by one.
 * The examples from `second.from` on are scored apart, by the task's own metrics (`mismatchedAccuracy`); all else is of those before.
 */
export const scoreOutputs = (
  scoring: SequenceScoring,
  outputs: ReadonlyArray<ReadonlyArray<number>>,
  truths: ReadonlyArray<Truth>,
  second?: { readonly name: string; readonly from: number },
): ScoredOutputs => {
  if (second === undefined) return scoreSet(scoring, outputs, truths)
  const { name, from } = second
  const first = scoreSet(scoring, outputs.slice(0, from), truths.slice(0, from))
  const { scores } = scoreSet(scoring, outputs.slice(from), truths.slice(from))
  const apart = scoring.metrics.map((metric) => [nameApart(name, metric), scores[metric] ?? NaN] as const)
  return { ...first, scores: { ...first.scores, ...Object.fromEntries(apart) } }
}

const scoreSet = (scoring: SequenceScoring, outputs: ReadonlyArray<ReadonlyArray<number>>, truths: ReadonlyArray<Truth>): ScoredOutputs => {
  const { taskType, positive } = scoring
  if (taskType === 'multi-label')
    return {
      scores: scoreSets(
        outputs,
        truths.map((truth) => (typeof truth === 'number' ? [truth] : truth)),
      ),
      predictions: [],
      constant: null,
    }
  const labels = truths.map((truth) => (typeof truth === 'number' ? truth : NaN))
  const predictions = outputs.map((output) => predictionOf(taskType, output))
  const of = (name: MetricName): number => {
    if (!isOfPredictions(name)) return crossEntropy(outputs, labels)
    return (name === 'f1' && positive !== undefined ? f1Of(positive) : METRICS[name])(predictions, labels)
  }
  return {
    scores: Object.fromEntries(metricsOf(scoring).map((name) => [name, of(name)])),
    predictions,
    constant: taskType === 'classification' ? constantPrediction(predictions) : null,
  }
}

/** What a metric of a second set is called among the scores. */
export const nameApart = (set: string, metric: string): string => `${set}${metric.charAt(0).toUpperCase()}${metric.slice(1)}`

/** The number by which checkpoints are compared, greater is better. `own` are the metrics that `mean` is of. Throws if `scores` lacks it. */
export const selectionScore =
  (selection: SelectionMetric, own?: ReadonlyArray<MetricName>) =>
  (scores: Readonly<Record<string, number | undefined>>): number => {
    const values = (selection === 'mean' ? (own ?? Object.keys(scores)) : [selection]).map((name) => scores[name])
    const known = values.filter((value) => value !== undefined)
    if (known.length === 0) throw new Error(`selectionScore: expected a score of ${selection}, got ${JSON.stringify(scores)}`)
    return isFalling(selection) ? -mean(known) : mean(known)
  }
