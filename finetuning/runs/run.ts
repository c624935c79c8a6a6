/** A run, in types: what it is asked, what it tells on the way, and what it answers. */
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { resolveSettings, type Settings } from '../../accelerated/training/settings.js'
import type { TrainingEvent } from '../../accelerated/training/events.js'
import type { Estimate } from './estimate.js'
import type { TaskOptions } from '../tasks/index.js'
import type { RunInputs } from './runFingerprint.js'

export type FinetuneOptions = {
  /** A folder in Hugging Face layout, or a hub id. */
  readonly model: string
  /** A folder with an adapter: the run starts from its numbers. */
  readonly adapter?: string
  /** What to train on, and how it is scored. */
  readonly task: TaskOptions
  /** The run's folder. */
  readonly output: string
  /** Continue from the newest checkpoint in `output`. Default: false */
  readonly resume?: boolean
  /** Method and hyperparameters; every setting has a default. */
  readonly settings?: SettingsInput
  /** Also evaluate before the first step. Default: false */
  readonly evalOnStart?: boolean
  /** Also write an event file for TensorBoard; a resumed run keeps writing the file that it has. Default: false */
  readonly tensorboard?: boolean
}

/** The options of a run with all settings resolved. */
export type RunOptions = Omit<FinetuneOptions, 'resume' | 'settings'> & { readonly resume: boolean; readonly settings: Settings }

/** @throws SettingsError for the first setting that is wrong */
export const resolveRunOptions = ({ resume = false, settings = {}, ...options }: FinetuneOptions): RunOptions => ({
  ...options,
  resume,
  settings: resolveSettings(settings),
})

export type FinetuneEvent =
  | Exclude<TrainingEvent, { readonly kind: 'checkpoint' }>
  | { readonly kind: 'preparing'; readonly what: string }
  | { readonly kind: 'warning'; readonly message: string }
  | ({ readonly kind: 'ready' } & RunFacts)
  /** the memory that it will need, before its first step */
  | ({ readonly kind: 'estimate' } & Estimate)
  | { readonly kind: 'saved'; readonly step: number }
  | { readonly kind: 'result'; readonly result: RunResult }

/** What is known before the first step. */
export type RunFacts = {
  /** the name of the task type; absent in runs before there was more than one */
  readonly taskType?: string
  readonly device: string
  /** absent in runs before there was more than one that trains */
  readonly precision?: string
  /** the commit of the model on the hub; null where the model is a folder of its own */
  readonly revision: string | null
  readonly examples: { readonly training: number; readonly evaluation: number }
  /** by part: `head`, and the method's own, such as `adapter` and `gates` */
  readonly trainableParameters: Readonly<Record<string, number>>
  readonly majority: { readonly label: string; readonly share: number } | null
  /** the metric by which the best step is chosen; absent in runs before it could be chosen */
  readonly selectedBy?: string
  /** the class that F1 is of; absent where none was named */
  readonly positive?: string
}

/** A length that a finished run had before it was made longer. */
export type Extended = {
  readonly epochs: number
  readonly maxSteps: number | null
  /** planned then */
  readonly steps: number
  /** taken when it ended: its state then is where the longer run begins */
  readonly after: number
}

/** config.json: every setting as resolved, what the run reads, versions, seed and device. */
export type RunConfig = {
  /** Version of the run folder's layout and setting names; older folders have none. */
  readonly formatVersion: number
  readonly model: string
  /** the commit of the model on the hub, null for a folder; absent in runs before it was recorded */
  readonly revision?: string | null
  /** absent where the run began with none */
  readonly adapter?: string
  readonly task: TaskOptions
  readonly settings: Settings
  readonly device: string
  /** digests of the rows and of the model's files; absent in runs before they were recorded */
  readonly inputs?: RunInputs
  /** absent where false */
  readonly evalOnStart?: boolean
  /** oldest first; absent where the run has the length that it began with */
  readonly extended?: ReadonlyArray<Extended>
  readonly versions: Readonly<Record<string, string>>
}

/** What methods with a budget or with ranks add to result.json. */
export type BudgetResult = {
  readonly targetDensity?: number | null
  readonly expectedDensity?: number | null
  readonly retainedDensity?: number | null
  readonly retainedParameters?: number
  readonly lambda?: number | null
  /** triplets that the run may leave */
  readonly budget?: number
  /** steps done when the ranks were fixed; null where the run ended before */
  readonly ranksFixedAt?: number | null
  /** by matrix */
  readonly ranks?: Readonly<Record<string, number>>
  readonly orthogonality?: Readonly<Record<string, number>>
}

/** result.json */
export type RunResult = RunFacts &
  BudgetResult & {
    readonly best: { readonly step: number; readonly scores: Scores } | null
    readonly last: { readonly step: number; readonly scores: Scores }
    /** what adapter/ holds; absent in runs before it could be chosen, which kept the best where there was one */
    readonly kept?: { readonly which: 'best' | 'last'; readonly step: number }
    readonly interrupted: boolean
    /** where --early-stopping-patience ended the run; else absent */
    readonly stoppedEarly?: boolean
    /** as in config.json */
    readonly extended?: ReadonlyArray<Extended>
    /** later than `last.step` where an interrupted run went on after its last evaluation */
    readonly stepsDone: number
    readonly steps: number
    /** of the process that ended the run, as is the memory */
    readonly seconds: number
    readonly peakMemoryBytes: number
    readonly seed: number
    readonly output: string
  }

export type Scores = Readonly<Record<string, number>>
