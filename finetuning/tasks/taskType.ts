/** A task type: what a model learns from examples, how its answers are scored, and what predictions, model cards and exports say. */
import type { ExampleTokenizer } from './exampleTokenizer.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Encoding } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import type { Method } from '../../accelerated/methods/method.js'
import type { Model } from '../../accelerated/models/architecture.js'
import type { Examples } from '../../accelerated/models/packing.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { KtoSettings } from './preferences/kto.js'
import type { PreferenceSettings } from './preferences/objective.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import type { LabelLoss } from '../../accelerated/objectives/sequenceClassification.js'
import type { Targets } from '../../accelerated/probe/linearModel.js'
import type { Scored } from '../../accelerated/training/events.js'
import type { Dataset } from '../data/dataset.js'
import type { DelimitedOptions } from '../data/delimited.js'
import type { LabelColumn } from '../data/labelColumn.js'
import type { TaggedOptions } from './tokenClassification/sentences.js'
import type { ChosenTemplate } from '../data/promptTemplates.js'
import type { Compared, MetricDefinition } from '../metrics/customMetric.js'
import type { ClassReport } from '../metrics/index.js'
import type { TextTokenOptions } from './texts/tokens.js'
import type { Text as Message } from '../../accelerated/errors/words.js'

/** How a task is scored. */
export type Scoring = {
  readonly taskType: TaskType
  /** the task's own metrics, higher is better for each; those that its type always has come after them */
  readonly metrics: readonly string[]
  /** the metric that selects the best checkpoint; `mean` is the unweighted mean of `metrics` */
  readonly selectionMetric: string
  /** the class that F1 is of; without it F1 is not computed */
  readonly positive?: number
}

export type PreferenceOptions = (PreferenceSettings | ({ readonly loss: 'kto' } & KtoSettings)) & ChosenTemplate

/** A metric of the user's own. file: its module, in messages · selects: the best checkpoint is the best by it */
export type ChosenMetric = { readonly definition: MetricDefinition; readonly file: string; readonly selects: boolean }

/** The data that a task type is bound to. */
export type TaskData = Scoring & {
  readonly evaluation: Dataset
  readonly metric?: ChosenMetric
  /** the classes in the order of the outputs; null: the task has none */
  readonly labelNames: readonly string[] | null
  /** how texts become tokens in language modeling */
  readonly text?: TextTokenOptions
  /** how preferences become tokens, and their loss */
  readonly preference?: PreferenceOptions
  /** what embeddings are trained for beside pairs or scores */
  readonly embedding?: EmbeddingOptions
}

/** sizes: first numbers of an embedding that are a shorter one · sizeMetric: what each size is scored by */
export type EmbeddingOptions = {
  readonly negatives: 'column' | 'mined' | null
  readonly sizes: readonly number[]
  readonly sizeMetric: string
}

/** A task type bound to data, as its folder writes it. E: examples; O: the model's answer to one example. */
export type TypedTask<E extends TrainingExample, O> = {
  readonly outputs: ModelOutputs
  readonly objective: (model: Model, method: Method) => Objective<E, O>
  /** What a linear probe of the head is fitted on. Absent: the head is no linear layer on features of an example. */
  readonly probe?: (model: Model) => Probe<E>
  /** How the run finds negatives before its first step. Absent: it has none, or its rows have them. */
  readonly mining?: Mining<E, O>
  /** @throws InputError */
  readonly tokenizer: (base: ModelFolder, maxLength: number) => Promise<ExampleTokenizer<E>>
  /** Scores all answers. It keeps labels, but no text. */
  readonly score: (answers: readonly O[]) => Scored
  /** Predictions and labels by name, for custom metrics. Absent: answers are no predictions of labels. */
  readonly compared?: (answers: readonly O[]) => Compared
  /** What `salora evaluate` adds to the scores. */
  readonly report: (answers: readonly O[]) => EvaluationReport
  /** The `count` worst errors, the worst first. Absent: an answer is not right or wrong. */
  readonly worstErrors?: (answers: readonly O[], count: number) => readonly EvaluationError[]
  /** the majority-class baseline, where there are classes */
  readonly majority: { readonly label: string; readonly share: number } | null
}

/** The features of an example for a linear head, and what the head should make of them. weights: of the examples; undefined: 1 each */
export type Probe<E extends TrainingExample> = {
  readonly features: Objective<E, ArrayLike<number>>
  readonly targets: (examples: readonly E[]) => Targets
  readonly weights: (examples: readonly E[]) => readonly number[] | undefined
}

/** How a run finds a negative for each example, among blocks of them, from the answers of the model as it is before the first step. */
export type Mining<E extends TrainingExample, O> = {
  /** @returns from and to of each block */
  readonly blocks: (examples: number) => readonly (readonly [number, number])[]
  /** the example as the model answers it */
  readonly asked: (example: E) => E
  /** @returns for each example of a block the one whose text is its negative; −1: none */
  readonly find: (examples: readonly E[], answers: readonly O[]) => readonly number[]
  readonly attach: (examples: Examples<E>, chosen: readonly number[]) => Examples<E>
}

/** The model's answer to one example, which only its task reads. */
export type Answer = unknown

/** A task type bound to data: what a run and an evaluation need. They pass its examples and answers on without looking inside. */
export type BoundTask = TypedTask<TrainingExample, Answer>

/** Hides the types of a task's examples and answers, which it alone makes and reads. */
export const sealTask = <E extends TrainingExample, O>(task: TypedTask<E, O>): BoundTask => task as unknown as BoundTask

/** An example that the model got wrong. */
export type EvaluationError = {
  /** of the example in the evaluation set */
  readonly index: number
  readonly label: string
  readonly predicted: string
  /** cross-entropy of the example; for a number its distance from the label */
  readonly loss: number
  /** of one class per example: whether the label is probably wrong (metrics/confidence.ts) */
  readonly labelIssue?: boolean
}

export type EvaluationReport = {
  /** one row per class; null where there are no classes, or too many to read */
  readonly byClass: readonly (ClassReport & { readonly label: string })[] | null
  /** counts by label (rows) and prediction (columns), in the order of `byClass` */
  readonly confusion: readonly (readonly number[])[] | null
  /** how many tokens were predicted, in language modeling */
  readonly tokens?: number
}

/** One text's prediction: the JSON object that `salora predict` prints, and its cells in a CSV file. */
export type Prediction = { readonly json: object; readonly cells: readonly string[] }

export type PredictionFormat = {
  /** columns of a CSV file */
  readonly columns: readonly string[]
  /** whether `json` has `scores`, one for each class */
  readonly scoresClasses?: true
  /** @param output the model's outputs for one text: [labels], or [words · labels] @param labelNames one per output @param read the text */
  readonly predict: (output: readonly number[], labelNames: readonly string[], read: ReadText) => Prediction
}

/** A text as a model read it. words, places: of token classification, as in `Example` and `TaggedExample` */
export type ReadText = {
  readonly text: string
  readonly words?: ArrayLike<number>
  readonly places?: readonly number[]
  /** of embeddings: where each text ends among the tokens */
  readonly ends?: readonly number[]
}

/** A text to predict. */
export type Text = {
  readonly text: string
  readonly textPair?: string | undefined
  /** Token classification: where each word begins and ends, one after another. Default: as salora divides texts into words */
  readonly words?: ArrayLike<number> | undefined
}

/** A text's tokens. words, places, targets: of token classification · ends: of embeddings */
export type EncodedText = Encoding & Pick<ReadText, 'words' | 'places' | 'ends'> & { readonly targets?: ArrayLike<number> }

/** What reads texts: a base model, and the model that an adapter makes of it. */
export type ReadModel = Pick<TrainedModel, 'base'> & { readonly adapter: Pick<TrainedModel['adapter'], 'model'> }

/** How a trained model reads texts. */
export type Reading = {
  /** @throws InputError or SettingsError for a text that the tokenizer or the model cannot take */
  readonly encode: (text: Text) => EncodedText
  readonly objective: Objective<TrainingExample, readonly number[]>
  /** What the objective reads of a text; only its loss reads a label. */
  readonly toExample: (encoding: EncodedText, row: number) => TrainingExample
}

/** Hides the type of a task's examples, which it alone makes and reads. */
export const toReading = <E extends TrainingExample>(
  encode: Reading['encode'],
  objective: Objective<E, readonly number[]>,
  toExample: (encoding: EncodedText, row: number) => E,
): Reading => ({ encode, objective: objective as unknown as Reading['objective'], toExample })

/** How a user's file becomes labeled examples. */
export type FileReading = {
  /** @throws InputError for the first thing wrong in the file */
  readonly read: (file: string, options: FileOptions) => Promise<Dataset>
  /** The stratum of each example, so that a hold-out keeps the proportions of labels. */
  readonly strata: LabelColumn['strata']
  /** whether labels are scores in a unit of the user, which training scales */
  readonly scalesScores?: true
  /** what the labels are instead of classes, for --labels-as-text */
  readonly noClasses?: string
  /** What the options of embeddings say. Absent: they are refused. @throws InputError */
  readonly embedding?: (options: FileOptions) => EmbeddingOptions
  /** endings of the names of files that are of this type without --problem-type */
  readonly endings?: readonly string[]
}

export type FileOptions = Omit<DelimitedOptions, 'labelColumn'> &
  Pick<TaggedOptions, 'tagNames'> & { readonly negative?: string; readonly matryoshka?: readonly number[] | string }

export type TaskType = {
  /** stored in result.json and salora.json, and typed after --problem-type */
  readonly name: string
  /** `a classification`, in messages and model cards */
  readonly noun: string
  /** `labels of a classification`: what its data has, in messages */
  readonly dataNoun: string
  /** The head that a model needs. @param labelNames null: the task has no classes */
  readonly outputs: (labelNames: readonly string[] | null) => ModelOutputs
  /** Whether a head that names no task type is of this one. */
  readonly isImpliedBy: (outputs: ModelOutputs) => boolean
  /** @throws InputError if the model cannot do the task */
  readonly checkModel?: (model: Model, task: string) => void
  /** Every metric of a task, its own first. */
  readonly metricNames: (scoring: Pick<Scoring, 'metrics' | 'positive'>) => readonly string[]
  /** How a file is read, and its metrics if the file says no more. Absent: --problem-type cannot name this type. */
  readonly file?: FileReading & Pick<Scoring, 'metrics' | 'selectionMetric'>
  /** what --positive-label, --class-weights and --labels expect instead of a value; absent: they are allowed */
  readonly refuses: Readonly<Partial<Record<'positiveLabel' | 'classWeights' | 'labelNames', Message>>>
  readonly bind: (data: TaskData, loss?: LabelLoss) => BoundTask
  /** absent: the model generates text, and `salora predict` refuses it */
  readonly predictions?: PredictionFormat
  /** Opens what `predictions` are made from. Absent: the model generates text. @param maxLength tokens of each text */
  readonly openReading?: (trained: ReadModel, outputs: ModelOutputs, maxLength: number) => Promise<Reading>
  /** whether a model that was trained on pairs also reads single texts */
  readonly readsHalfPairs?: true
  /** `pipeline_tag` of the model card */
  readonly pipelineTag: 'text-classification' | 'token-classification' | 'feature-extraction' | 'text-generation'
  /** the command that uses the result */
  readonly command: 'predict' | 'generate'
  /** What a user of an exported model must know. @param format `transformers.js`, … */
  readonly exportWarnings?: (format: string, texts: { readonly havePairs: boolean }) => readonly string[]
}

/** The `count` worst errors; a loss that is not finite is none. */
export const selectWorst = <E extends Pick<EvaluationError, 'index' | 'loss'>>(errors: readonly E[], count: number): readonly E[] =>
  errors
    .filter(({ loss }) => Number.isFinite(loss))
    .sort((a, b) => b.loss - a.loss || a.index - b.index)
    .slice(0, count)
