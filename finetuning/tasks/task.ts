/** Task: what to train on, what to evaluate on and how it is scored; and a kind of tasks, of which tasks.ts lists all. */
import type { WantedFiles } from '../../accelerated/checkpoints/hub/hubDataset.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { Dataset } from '../data/dataset.js'
import type { TextColumns } from '../data/delimited.js'
import type { Scoring, TaskData } from './taskType.js'

export type TaskOptions = {
  /** A task of GLUE (`cola`, …), of two styles (`yelp`, `gyafc`), `sentiment` (the embedded data), or a file of the user's own (formats.ts). */
  readonly task: string
  /** GLUE and styles: the folder of the official files, or the parent of the official folders. Next tokens: the file of texts. */
  readonly data?: string
  /** A file to evaluate on, in the format of the task, in place of the dev file or of the hold-out; of styles a part, `test`, or its path. */
  readonly evalData?: string
  /** Files only: which tenth is held out if there is no `evalData`; 0 if not given. It is no run's seed, so runs compare. */
  readonly holdOutSeed?: number
  /** GLUE only: the first so many training examples, a whole number. */
  readonly maxTrainSamples?: string
  /** GLUE only: evaluate on a tenth of the training examples, which is held out, and not on the dev file: what settings may be chosen on. */
  readonly holdOutTrain?: boolean
  /** Instructions only: the form of their prompts, of promptTemplates.ts; `paper` if not given. */
  readonly promptTemplate?: string
  /** Instructions only: whether prompts are learned as well. */
  readonly trainOnInputs?: boolean
  /** Next tokens only: whether several texts share a row. */
  readonly packing?: boolean
  /** The class that F1 is of, by its name. */
  readonly positiveLabel?: string
  /** The metric by which checkpoints compare, in place of the task's own. */
  readonly metricForBestModel?: string
  /** Files only: column of the label; `label` by default. */
  readonly label?: string
  /** Files only: the name of a task type that reads labels from files; `classification` by default. */
  readonly problemType?: string
  /** Files only: the classes of the training data, which an evaluation file must keep to. */
  readonly labelNames?: ReadonlyArray<string>
  /** Files and instructions only: skip rows without text, label or response, instead of refusing the file. */
  readonly skipMissing?: boolean
} & TextColumns

export type { Scoring } from './taskType.js'

/** What to train on, what to evaluate on, and how answers are scored. */
export type Task = TaskData & {
  readonly name: string
  readonly train: Dataset
  /** whether `evaluation` was held out of the task's file, because there is no evaluation file */
  readonly heldOut: boolean
}

/** Labeled data for a model that is already trained. */
export type Evaluation = Scoring &
  Pick<TaskData, 'evaluation' | 'text'> & {
    /** Whether the classes come from the data itself, sorted by name: their order then says nothing about a model's outputs. */
    readonly sorted?: boolean
  }

/** Tasks that are read alike. Whatever names or recognizes tasks anywhere follows from this. */
export type TaskSource = {
  /** The tasks by name; none where they are named otherwise, which `help` then says. */
  readonly names: ReadonlyArray<string>
  /** What the tasks are, in a few words that can follow `expected` or `or`. */
  readonly help: string
  readonly recognizes: (task: string) => boolean
  /** The options that this kind takes and others do not, for the command line. */
  readonly flags?: ReadonlyArray<TaskFlag>
  /** Parts of the data that `evalData` may name instead of a file. */
  readonly parts?: ReadonlyArray<string>
  /** Which files of a data set of the hub a task needs; absent where `data` cannot be one. */
  readonly hub?: (task: string) => WantedFiles
  /** Published recipes for such tasks, by a name for --preset. */
  readonly presets?: Readonly<Record<string, TaskPreset>>
  /** @throws InputError for the first thing wrong in the data */
  readonly load: (options: TaskOptions) => Promise<Task>
  /** Only the evaluation data, for a trained model. For a file, `options` has the training's `labelNames`. @throws InputError */
  readonly loadEvaluation: (options: TaskOptions) => Promise<Evaluation>
}

/** Settings that belong together: a method, and the settings of a run of it, which may depend on the task. */
export type TaskPreset = {
  readonly method: string
  /** what it is, in a few words for --help */
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
}
