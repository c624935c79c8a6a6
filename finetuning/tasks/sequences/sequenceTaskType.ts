/** What all task types with a head over whole sequences share; singleLabel.ts, multiLabel.ts and regression.ts say what differs. */
import type { Examples } from '../../../accelerated/models/packing.js'
import type { ProblemType, SequenceOutputs } from '../../../accelerated/models/modelOutputs.js'
import {
  labelScaling,
  sequenceClassification,
  sequenceFeatures,
  type LabeledExample,
  type LabelLoss,
  weighedShares,
} from '../../../accelerated/objectives/sequenceClassification.js'
import type { Model } from '../../../accelerated/models/architecture.js'
import type { Example, SecondSet } from '../../data/dataset.js'
import { readDelimited } from '../../data/delimited.js'
import { scoreColumn, type LabelColumn } from '../../data/labelColumn.js'
import { labelSeparator } from '../../data/labels.js'
import type { Compared, MetricValue } from '../../metrics/customMetric.js'
import { secondSetMetric, selectionScore, type ClassReport, type MajorityClass } from '../../metrics/index.js'
import { tokenize } from './tokens.js'
import {
  toReading,
  type EvaluationError,
  type EvaluationReport,
  type Scoring,
  sealTask,
  type Probe,
  type TypedTask,
  type TaskData,
  type TaskType,
  selectWorst,
} from '../taskType.js'
import { truncationWarnings } from '../exampleTokenizer.js'

/** A model's outputs: [examples][labels] */
export type Outputs = readonly (readonly number[])[]

/** An example's label: a class or a number; or the classes that hold. */
export type Truth = number | readonly number[]

export type SetScores = {
  readonly scores: Readonly<Record<string, number>>
  /** the class that the model predicts for every example, if there is one */
  readonly constant: number | null
}

/** What differs between task types with a sequence head. */
export type SequenceDefinition = Pick<TaskType, 'name' | 'noun' | 'refuses' | 'exportWarnings'> & {
  readonly problemType: ProblemType
  /** how the label column of a file is read, and its metrics if the file says no more */
  readonly file: { readonly labels: LabelColumn } & Pick<Scoring, 'metrics' | 'selectionMetric'>
  readonly predictions: NonNullable<TaskType['predictions']>
  /** Whether a head that names no task type is of this one; by default if it has the same problem type. */
  readonly isImpliedBy?: TaskType['isImpliedBy']
  /** metrics that every task of the type has, after the task's own */
  readonly commonMetrics: (hasPositive: boolean) => readonly string[]
  /** Scores of one set of examples, of at least one. */
  readonly scoreSet: (scoring: Pick<Scoring, 'metrics' | 'positive'>, outputs: Outputs, truths: readonly Truth[]) => SetScores
  /** The class, the number or the classes that an output stands for. Absent: there are no custom metrics. */
  readonly toPrediction?: (output: readonly number[]) => Truth
  readonly majority?: (truths: readonly Truth[]) => MajorityClass
  /** What the model answered instead of the truth, and how wrong that is; null for a right answer. Absent: no errors are recorded. */
  readonly toError?: (output: readonly number[], truth: Truth) => { readonly predicted: Truth; readonly loss: number } | null
  /** Whether the label of each example is probably wrong. Absent: there is no rule for such labels. */
  readonly toLabelIssues?: (outputs: Outputs, truths: readonly Truth[]) => readonly boolean[]
  readonly report?: (
    outputs: Outputs,
    truths: readonly Truth[],
    classes: number,
  ) => { readonly byClass: readonly ClassReport[]; readonly confusion: EvaluationReport['confusion'] }
}

export const sequenceTaskType = (definition: SequenceDefinition): TaskType => {
  const { name, noun, refuses, file, predictions, problemType, commonMetrics } = definition
  const { labels, ...scoringOfFile } = file
  const outputsFor = (labelNames: readonly string[] | null): SequenceOutputs => ({
    head: 'sequence',
    labels: labelNames?.length ?? 1,
    problemType,
    taskType: name,
  })
  return {
    ...{ name, noun, refuses, predictions },
    file: {
      ...scoringOfFile,
      ...(labels === scoreColumn ? { noClasses: 'a regression', scalesScores: true } : {}),
      strata: labels.strata,
      read: (path, options) => readDelimited(path, { ...options, labelColumn: labels }),
    },
    dataNoun: `labels of ${noun}`,
    outputs: outputsFor,
    isImpliedBy: definition.isImpliedBy ?? ((outputs) => outputs.head === 'sequence' && outputs.problemType === problemType),
    metricNames: ({ metrics, positive }) => [...new Set([...metrics, ...commonMetrics(positive !== undefined)])],
    bind: (data, loss = {}) => sealTask(boundTo(definition, outputsFor(data.labelNames), data, loss)),
    openReading: async ({ base, adapter }, outputs, maxLength) => {
      if (outputs.head !== 'sequence') throw new Error(`${name}: expected a head over sequences, got ${outputs.head}`)
      const tokenizer = await base.tokenizer()
      return toReading(
        ({ text, textPair }) => tokenizer.encode(text, textPair, maxLength),
        sequenceClassification(adapter.model, outputs),
        (encoding, row) => ({ ...encoding, row, label: 0 }),
      )
    },
    pipelineTag: 'text-classification',
    command: 'predict',
    exportWarnings: (format, texts) => [
      ...(definition.exportWarnings?.(format, texts) ?? []),
      ...(format === 'transformers.js' && texts.havePairs ? [pairWarning] : []),
    ],
  }
}

const pairWarning =
  "pipeline('text-classification') drops the second text of a pair: use AutoTokenizer with { text_pair } and AutoModelForSequenceClassification"

const boundTo = (
  definition: SequenceDefinition,
  outputs: SequenceOutputs,
  { metrics, selectionMetric, positive, labelNames, evaluation: { examples, second } }: TaskData,
  loss: LabelLoss,
): TypedTask<LabeledExample, readonly number[]> => {
  const scoring = { metrics, ...(positive === undefined ? {} : { positive }) }
  const truths = examples.map(toTruth)
  const firstTruths = truths.slice(0, second?.from)
  const labelName = (label: number): string => labelNames?.[label] ?? String(label)
  const majority = firstTruths.length === 0 ? null : (definition.majority?.(firstTruths) ?? null)
  return {
    outputs,
    objective: (model) => sequenceClassification(model, outputs, loss),
    probe: (model) => buildProbe(model, outputs, loss),
    tokenizer: async (base, maxLength) => {
      const tokenizer = await base.tokenizer()
      let [texts, truncated] = [0, 0]
      const tokenizeAll = (examples: Iterable<Example>): Examples<LabeledExample> => {
        const tokenized = tokenize(tokenizer, base.model.vocabularySize, examples, maxLength, () => truncated++)
        texts += tokenized.length
        return tokenized
      }
      return {
        training: tokenizeAll,
        evaluation: tokenizeAll,
        warnings: () => truncationWarnings(truncated, texts, maxLength),
      }
    },
    score: (answers) => {
      const { scores, constant } = scoreOutputs(definition, scoring, answers, truths, second)
      const selection = selectionScore(selectionMetric, metrics)(scores)
      return { scores, selection, constant: constant === null ? null : labelName(constant) }
    },
    ...(definition.toPrediction === undefined ? {} : { compared: comparedBy(definition.toPrediction, firstTruths, labelNames) }),
    ...(definition.toError === undefined ? {} : { worstErrors: worstErrorsBy(definition, definition.toError, truths, labelNames) }),
    report: (answers) => {
      const classes = outputs.labels
      if (definition.report === undefined || classes > mostReportedClasses) return { byClass: null, confusion: null }
      const { byClass, confusion } = definition.report(answers.slice(0, second?.from), firstTruths, classes)
      return { byClass: byClass.map((report, i) => ({ label: labelName(i), ...report })), confusion }
    },
    majority: majority === null ? null : { label: labelName(majority.label), share: majority.share },
  }
}

/** Of a regression, the probe learns the scores as the trained head does: scaled. */
const buildProbe = (
  model: Model,
  outputs: SequenceOutputs,
  { classWeights, scoreScale, softTemperature }: LabelLoss,
): Probe<LabeledExample> => {
  const { labels: classes, problemType } = outputs
  const weigh = weighedShares(classWeights)
  const scaled = scoreScale === undefined ? (label: number) => label : labelScaling(model, scoreScale)
  return {
    features: sequenceFeatures(model, outputs),
    targets: (examples) => {
      const labels = examples.map(({ label }) => label)
      if (problemType === 'single_label_classification')
        return { kind: 'single', classes, labels, ...(softTemperature === undefined ? {} : { shares: examples.map(weigh) }) }
      if (problemType === 'regression') return { kind: 'score', classes: 1, labels: labels.map(scaled) }
      return { kind: 'multi', classes, labels: examples.map(({ labels: held = [] }) => held) }
    },
    weights: (examples) =>
      classWeights === undefined || softTemperature !== undefined ? undefined : examples.map(({ label }) => classWeights[label] ?? 1),
  }
}

/** Of equal errors the first ones are named. */
const worstErrorsBy =
  (
    { toLabelIssues }: Pick<SequenceDefinition, 'toLabelIssues'>,
    toError: NonNullable<SequenceDefinition['toError']>,
    truths: readonly Truth[],
    labelNames: readonly string[] | null,
  ) =>
  (answers: Outputs, count: number): readonly EvaluationError[] => {
    const issues = toLabelIssues?.(answers, truths)
    const errors = truths.flatMap((label, index) => {
      const error = toError(answers[index] ?? [], label)
      return error === null ? [] : [{ index, label, ...error, ...(issues === undefined ? {} : { labelIssue: issues[index] === true }) }]
    })
    return selectWorst(errors, count).map(({ predicted, label, ...error }) => ({
      ...error,
      label: truthText(label, labelNames),
      predicted: truthText(predicted, labelNames),
    }))
  }

/** Classes by name, and numbers with six digits. */
const truthText = (truth: Truth, labelNames: readonly string[] | null): string => {
  const nameLabel = (label: number): string => labelNames?.[label] ?? String(Number(label.toPrecision(6)))
  if (typeof truth === 'number') return nameLabel(truth)
  return truth.length === 0 ? 'none' : truth.map(nameLabel).join(labelSeparator)
}

/** Predictions and labels of the first set. */
const comparedBy =
  (toPrediction: NonNullable<SequenceDefinition['toPrediction']>, truths: readonly Truth[], labelNames: readonly string[] | null) =>
  (answers: Outputs): Compared => ({
    predictions: answers.slice(0, truths.length).map((output) => metricValue(toPrediction(output), labelNames)),
    labels: truths.map((truth) => metricValue(truth, labelNames)),
  })

/** Classes by name, those of a set in their order, and numbers as they are. */
const metricValue = (truth: Truth, labelNames: readonly string[] | null): MetricValue => {
  if (typeof truth !== 'number') return [...truth].sort((a, b) => a - b).map((label) => labelNames?.[label] ?? String(label))
  return labelNames === null ? truth : (labelNames[truth] ?? String(truth))
}

/** The confusion matrix grows with the square of the classes. */
const mostReportedClasses = 100

const toTruth = ({ label, labels }: { readonly label: number; readonly labels?: readonly number[] | undefined }): Truth => labels ?? label

/** Labels of examples that have one each. */
export const toLabels = (truths: readonly Truth[]): readonly number[] => truths.map((truth) => (typeof truth === 'number' ? truth : NaN))

/** Scores of all examples. Those of a second set have names of their own (`mismatchedAccuracy`) and only the task's own metrics. */
const scoreOutputs = (
  { scoreSet }: Pick<SequenceDefinition, 'scoreSet'>,
  scoring: Pick<Scoring, 'metrics' | 'positive'>,
  outputs: Outputs,
  truths: readonly Truth[],
  second?: SecondSet,
): SetScores => {
  if (second === undefined) return scoreSet(scoring, outputs, truths)
  const { name, from } = second
  const first = scoreSet(scoring, outputs.slice(0, from), truths.slice(0, from))
  const { scores } = scoreSet(scoring, outputs.slice(from), truths.slice(from))
  const ofSecond = scoring.metrics.map((metric) => [secondSetMetric(name, metric), scores[metric] ?? NaN] as const)
  return { ...first, scores: { ...first.scores, ...Object.fromEntries(ofSecond) } }
}
