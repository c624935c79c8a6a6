/** A task: its training data, its evaluation data, and its scores. sources.ts lists where data come from. */
import type { WantedFiles } from '../../accelerated/checkpoints/hub/hub.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { Dataset } from '../data/dataset.js'
import type { TextColumns } from '../data/delimited.js'
import type { Fold } from '../data/holdOut.js'
import type { GlueName } from '../data/glueTasks.js'
import type { PromptTemplate } from '../data/promptTemplates.js'
import type { Placed } from '../data/rows.js'
import type { StyleName } from '../data/styles.js'
import type { SelectionMetric } from '../metrics/index.js'
import type { Truncation } from './texts/tokens.js'
import type { PreferenceLoss } from './preferences/objective.js'
import type { Scoring, TaskData, TaskType } from './taskType.js'

/** A union that editors complete, and that also takes any other text. */
type Or<Names extends string> = Names | (string & {})

/** Tasks by name. */
export type TaskName = GlueName | StyleName | 'sentiment' | 'alpaca' | 'preference' | 'choice' | 'text'

export type TaskOptions = {
  /** A task by name, or a labeled file (.tsv, .csv, .jsonl, .json or .parquet): its path, or hf://datasets/OWNER/NAME/FILE, as for all files here. */
  readonly task: Or<TaskName>
  /** GLUE and styles: the folder of the official files, or the parent of the official folders. `alpaca` and `text`: the file of texts. */
  readonly data?: string
  /** A file to evaluate on instead of the dev file or the hold-out. Styles: a part (`test`), or its path. */
  readonly evalData?: string
  /** Files, `alpaca` and `text` only: the share of the file that is held out if there is no `evalData`. Default: 0.1 */
  readonly evalShare?: number | string
  /** A file that is scored once, after training, by the adapter that is kept. It takes no part in choosing the step. Styles: also a part */
  readonly testData?: string
  /** Files, `alpaca` and `text` only: further files of the same kind to train on. Default: none */
  readonly mixData?: readonly string[] | string
  /** With `mixData`: shares of an epoch's rows, one for each file, the task's own first. Default: every row once */
  readonly mixWeights?: readonly number[] | string
  /** Files only: which part is held out if there is no `evalData`. It is not the run's seed, so that runs compare. Default: 0 */
  readonly holdOutSeed?: number
  /** Files only: hold out this part of the data instead of a tenth. Each part is held out once in a cross-validation. */
  readonly fold?: Fold
  /** GLUE only: use only the first n training examples. Default: all */
  readonly maxTrainSamples?: number | string
  /** GLUE only: evaluate on a held-out tenth of the training examples instead of the dev file. Choose settings on it. Default: false */
  readonly holdOutTrain?: boolean
  /** `alpaca` and `preference` only: how an instruction becomes a prompt. Default: chat if the model has a chat template, else paper */
  readonly promptTemplate?: Or<PromptTemplate>
  /** With `promptTemplate` chat only: the date that the template writes, such as 2026-03-07. Default: the day on which the run begins */
  readonly templateDate?: string
  /** `alpaca` only: how a conversation of more than `maxLength` tokens becomes shorter. Default: turns with the chat template, else tokens */
  readonly truncation?: Or<Truncation>
  /** `alpaca` only: also compute the loss on prompt tokens. Default: false */
  readonly trainOnInputs?: boolean
  /** `preference` only: the loss. Default: dpo */
  readonly loss?: Or<PreferenceLoss | 'kto'>
  /** `preference` only: β of the loss. Default: 0.1, or 2 with simpo */
  readonly lossBeta?: number | string
  /** `preference` only: the probability that the answers of a pair are exchanged. Default: 0 */
  readonly labelSmoothing?: number | string
  /** `preference` with simpo only: the margin by which rewards should differ. Default: 1 */
  readonly simpoGamma?: number | string
  /** `preference` with kto only: the weight of answers with label true. Default: 1 */
  readonly desirableWeight?: number | string
  /** `preference` with kto only: the weight of answers with label false. Default: 1 */
  readonly undesirableWeight?: number | string
  /** `alpaca` and `text` only: pack several texts into each row. Default: false */
  readonly packing?: boolean
  /** The class that F1 is of, by its name. Default: no F1 of one class */
  readonly positiveLabel?: string
  /** The metric that selects the best checkpoint. Default: the task's own */
  readonly metricForBestModel?: Or<SelectionMetric>
  /** Files only: column of the label. Default: label */
  readonly label?: string
  /** Files only: the task type. Default: token-classification for files of tagged words (.conll, .iob, …), classification for all others */
  readonly problemType?: Or<'classification' | 'regression' | 'multi-label' | 'token-classification' | 'similarity' | 'pairs' | 'rerank'>
  /** Token classification only: the tags that the numbers of a file stand for, in order, separated by commas. Default: a file has tags by name */
  readonly tagNames?: string
  /** `pairs` only: the column of texts that do not answer the first texts, or `mined`: the model finds them. Default: none */
  readonly negative?: string
  /** `pairs` and `similarity` only: the first numbers of an embedding, such as 256,128,64, that are trained as shorter ones. Default: none */
  readonly matryoshka?: readonly number[] | string
  /** Files only: the classes of the training data, which an evaluation file must keep to. Default: those that occur */
  readonly labelNames?: readonly string[]
  /** Files only: labels are texts, whatever they look like, so 1.10 and 1.1 are two classes. Default: false */
  readonly labelsAsText?: boolean
  /** Files only: `case` merges classes that differ only in case or blanks, under the spelling that occurs most often. Default: none */
  readonly mergeLabels?: Or<'case'>
  /** Files only: the labels are a teacher's logits by class, and it and the model are compared at this temperature. Default: probabilities */
  readonly teacherTemperature?: number | string
  /** Files and `alpaca` only: skip rows without text, label or response instead of refusing the file. Default: false */
  readonly skipMissing?: boolean
} & TextColumns

export type { Scoring } from './taskType.js'

/** What to train on, what to evaluate on, and how answers are scored. */
export type LoadedTask = TaskData & {
  readonly name: string
  readonly train: Dataset
  /** whether `evaluation` was held out of the task's file, because there is no evaluation file */
  readonly heldOut: boolean
  /** Training scales the scores to mean 0 and deviation 1; answers and files have their unit. Absent: it takes them as they are. */
  readonly scalesScores?: true
  /** The temperature of the loss of soft labels; absent: each example has one class. */
  readonly softTemperature?: number
  /** Scored once, after training; absent: there is no `testData`. */
  readonly test?: Dataset
}

/** Labeled data for a model that is already trained. */
export type Evaluation = Scoring &
  Pick<TaskData, 'evaluation' | 'text' | 'preference' | 'embedding' | 'metric'> & {
    /** Whether the classes come from the data itself, sorted by name: their order then says nothing about a model's outputs. */
    readonly sorted?: boolean
  }

/** What a model is trained for: an entry of the table of tasks, and the content of the folder beside it. */
export type Task = {
  /** What models and runs store by name; most tasks have one. */
  readonly types: readonly TaskType[]
  /** Data that --task names. Absent: files of the user, which --problem-type or their ending gives to the task. */
  readonly sources?: readonly TaskSource[]
}

/** Data that are read by the same code. Everything that names or recognizes tasks follows from this. */
export type TaskSource = {
  /** The tasks by name; empty if they have no names, as files do. */
  readonly names: readonly string[]
  /** What the tasks are, in a few words that can follow `expected` or `or`. */
  readonly help: string
  readonly recognizes: (task: string) => boolean
  /** The options that only this source takes, for the command line. */
  readonly flags?: readonly TaskFlag[]
  /** Whether the task is one file of the user. A part of it is held out unless `evalData` names another file. */
  readonly isOneFile?: true
  /** Parts of the data that `evalData` may name instead of a file. */
  readonly parts?: readonly string[]
  /** Which files of a hub dataset a task needs. Absent: `data` cannot be a hub dataset. */
  readonly hub?: (task: string) => WantedFiles
  /** Published recipes for the source's tasks, by a name for --preset. */
  readonly presets?: Readonly<Record<string, TaskPreset>>
  /** @throws InputError for the first thing wrong in the data */
  readonly load: (options: TaskOptions & Placed) => Promise<LoadedTask>
  /** Only the evaluation data, for a trained model. For a file, `options` has the training's `labelNames`. @throws InputError */
  readonly loadEvaluation: (options: TaskOptions & Placed) => Promise<Evaluation>
}

/** A recipe: a method and its settings, which may depend on the task. */
export type TaskPreset = {
  readonly method: string
  /** a few words for --help */
  readonly help: string
  readonly settings: (task: string) => SettingsInput
}

/** An option as a flag of the command line. */
export type TaskFlag = {
  /** in camelCase */
  readonly name: keyof TaskOptions
  /** the value in --help; empty for a switch */
  readonly placeholder: string
  /** an imperative or a noun phrase that stands alone */
  readonly description: string
  /** the default in words */
  readonly defaultText?: string
  /** whether the short --help lists it */
  readonly common?: boolean
  /** no option of its own, because it belongs to one task or one loss: `--set loss-beta=0.2` */
  readonly viaSet?: boolean
}
