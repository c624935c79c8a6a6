/** The types of a run: its options, events, config.json and result.json. */
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { resolveSettings, type Settings } from '../../accelerated/training/resolveSettings.js'
import type { TrainingEvent } from '../../accelerated/training/events.js'
import { exchanges, type Exchange } from '../machines/exchange.js'
import type { WorkersReport } from '../machines/pace.js'
import type { Estimate } from './estimateRun.js'
import type { TaskOptions } from '../tasks/index.js'
import type { DataReport } from '../inspection/dataReport.js'
import type { StoredMetric } from '../metrics/metricModule.js'
import type { PlacementEvent } from './devicePlacement.js'
import type { RunInputs } from './runFingerprint.js'
import type { SamplePrompt } from './samplePrompts.js'
import { trackerNames, type TrackerName } from './tracking/service.js'

export type FinetuneOptions = {
  /** A folder in Hugging Face layout, a hub id, or `embedded` for the model in this package. */
  readonly model: string
  /** A folder with an adapter: the run starts from its weights. */
  readonly adapter?: string
  /** The task: its data and its metrics. */
  readonly task: TaskOptions
  /** The run's folder. */
  readonly output: string
  /** Continue from the newest checkpoint in `output`. Default: false */
  readonly resume?: boolean
  /** Method and hyperparameters; every setting has a default. */
  readonly settings?: SettingsInput
  /** Also evaluate before the first step. Default: false */
  readonly evalOnStart?: boolean
  /** Also write an event file for TensorBoard; a resumed run keeps writing an existing event file. Default: false */
  readonly tensorboard?: boolean
  /** Also report to these experiment trackers; a resumed run keeps reporting to those it began with. Default: none */
  readonly reportTo?: readonly TrackerName[]
  /** A JavaScript module of a metric (MetricDefinition), by its path. A resumed run must name it again: nothing in a run's folder is executed. */
  readonly metric?: string
  /** A Redis server, at which salora worker on other machines takes parts of each step. Default: this process computes all parts */
  readonly redis?: string
  /** How gradients travel: in the run's precision, or rounded to float16 for half the bytes. Default: float32 */
  readonly exchange?: Exchange
  /** Prompts that the model answers after each evaluation; a resumed run keeps those that it began with. Default: none */
  readonly samplePrompts?: readonly SamplePrompt[]
}

/** The options of a run with all settings resolved. */
export type RunOptions = Omit<FinetuneOptions, 'resume' | 'settings'> & {
  readonly resume: boolean
  readonly settings: Settings
  /** The commit of a hub's model, as the leader of the run has it. Absent: the one that the run began with, or main. */
  readonly revision?: string
}

const text = z.string().min(1)
/** What a caller without types may get wrong. The task's own options are checked where its data is read. */
const optionsSchema = z.looseObject({
  model: text,
  task: z.looseObject({ task: text }),
  output: text,
  adapter: text.optional(),
  resume: z.boolean().optional(),
  settings: z.looseObject({}).optional(),
  evalOnStart: z.boolean().optional(),
  tensorboard: z.boolean().optional(),
  reportTo: z.array(z.enum(trackerNames)).optional(),
  metric: text.optional(),
  redis: text.optional(),
  exchange: z.enum(exchanges).optional(),
  samplePrompts: z.array(z.unknown()).optional(),
})

/** @throws InputError for the first of the options that is missing or of another type */
export const checkFinetuneOptions = (options: FinetuneOptions): void => {
  validate<unknown>(optionsSchema, options, 'finetune', 'options')
}

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
  /** Before the first step: facts about the data, and what probably is a mistake in it. A finding that warns follows as a warning. */
  | ({ readonly kind: 'data' } & DataReport)
  | ({ readonly kind: 'ready' } & RunFacts)
  /** After the first step on a device that may fall back: the nodes that ran on the CPU instead. Again if a later graph has others. */
  | PlacementEvent
  /** Before the first step: the memory that the run needs. */
  | ({ readonly kind: 'estimate' } & Estimate)
  | { readonly kind: 'saved'; readonly step: number }
  /** With redis, at most once a second: the machines at work on a step. */
  | ({ readonly kind: 'workers'; readonly step: number } & WorkersReport)
  /** With redis: the connection dropped or returned. */
  | { readonly kind: 'queue'; readonly connected: boolean }
  /** Once: where an experiment tracker shows the run. */
  | { readonly kind: 'tracking'; readonly tracker: TrackerName; readonly url: string }
  /** After training: the scores of the kept adapter on the test data, which took no part in choosing its step. */
  | ({ readonly kind: 'test' } & TestScores)
  /** After training: how sure the kept classifier is now, on rows that did not train it. */
  | ({ readonly kind: 'calibration' } & Calibration)
  | { readonly kind: 'result'; readonly result: RunResult }

/** What is known before the first step. */
export type RunFacts = {
  /** The name of the task type; absent in runs of versions with only one. */
  readonly taskType?: string
  readonly device: string
  /** Absent in runs of versions with only one. */
  readonly precision?: string
  /** The commit of the model on the hub; null for a local folder. */
  readonly revision: string | null
  /** test: absent without test data */
  readonly examples: { readonly training: number; readonly evaluation: number; readonly test?: number }
  /** By part: `head` and the parts of the method, such as `adapter` and `gates`. */
  readonly trainableParameters: Readonly<Record<string, number>>
  /** The weights of the base model; absent in runs of versions that did not count them. */
  readonly modelParameters?: number
  readonly majority: { readonly label: string; readonly share: number } | null
  /** Folds of the cross-validation: the evaluation rows are the training rows, each predicted by a model trained without it. Absent: they are other rows. */
  readonly folds?: number
  /** The metric that selects the best step; absent in runs of versions without a choice. */
  readonly selectedBy?: string
  /** The direction of the custom metric; absent if there is none. */
  readonly customMetric?: Pick<StoredMetric, 'name' | 'higherIsBetter'>
  /** The positive class of F1; absent if none was named. */
  readonly positive?: string
}

/** The length of a finished run before it was extended. */
export type Extended = {
  readonly epochs: number | null
  readonly maxSteps: number | null
  /** The planned steps. */
  readonly steps: number
  /** The steps done: the extended run starts from this state. */
  readonly after: number
}

/** config.json: all resolved settings, the run's inputs, versions, seed and device. */
export type RunConfig = {
  /** Version of the run folder's layout and setting names; older folders have none. */
  readonly formatVersion: number
  readonly model: string
  /** The commit of the model on the hub, null for a folder; absent in runs of versions that did not record it. */
  readonly revision?: string | null
  /** Absent if the run started without an adapter. */
  readonly adapter?: string
  readonly task: TaskOptions
  readonly settings: Settings
  readonly device: string
  /** Digests of the rows and of the model's files; absent in runs of versions that did not record them. */
  readonly inputs?: RunInputs
  /** Absent if false. */
  readonly evalOnStart?: boolean
  /** The custom metric; absent if there is none. */
  readonly metric?: StoredMetric
  /** Absent if there are none. */
  readonly samplePrompts?: readonly SamplePrompt[]
  /** Oldest first; absent if the run was never extended. */
  readonly extended?: readonly Extended[]
  readonly versions: Readonly<Record<string, string>>
}

/** What methods with a budget or with ranks add to result.json. */
export type BudgetResult = {
  readonly targetDensity?: number | null
  readonly expectedDensity?: number | null
  readonly retainedDensity?: number | null
  readonly retainedParameters?: number
  readonly lambda?: number | null
  /** The triplets that may remain. */
  readonly budget?: number
  /** The steps done when the ranks were fixed; null if the run ended before. */
  readonly ranksFixedAt?: number | null
  /** by matrix */
  readonly ranks?: Readonly<Record<string, number>>
  readonly orthogonality?: Readonly<Record<string, number>>
}

/** result.json */
export type RunResult = RunFacts &
  BudgetResult & {
    /** `selection`: the number that selected it, greater is better; absent in runs of versions that did not record it */
    readonly best: { readonly step: number; readonly scores: Scores; readonly selection?: number } | null
    readonly last: { readonly step: number; readonly scores: Scores }
    /** The checkpoint in adapter/; absent in runs of versions without a choice, which kept the best one if there was one. */
    readonly kept?: { readonly which: 'best' | 'last'; readonly step: number }
    /** Absent where nothing was calibrated. */
    readonly calibration?: Calibration
    /** Absent without test data, and if the run was interrupted. */
    readonly test?: TestScores
    readonly interrupted: boolean
    /** Present if --early-stopping-patience ended the run. */
    readonly stoppedEarly?: boolean
    /** as in config.json */
    readonly extended?: readonly Extended[]
    /** Later than `last.step` if the run was interrupted after its last evaluation. */
    readonly stepsDone: number
    readonly steps: number
    /** Of the last process of the run, as is the memory. */
    readonly seconds: number
    readonly peakMemoryBytes: number
    /** When the run ended, in ISO 8601 and UTC; absent in runs of versions that did not record it. */
    readonly finishedAt?: string
    readonly seed: number
    readonly output: string
  }

/** The logits were divided by the temperature. errors: expected calibration errors on these rows (15 bins), in [0, 1] */
export type Calibration = {
  readonly temperature: number
  readonly rows: number
  readonly errorBefore: number
  readonly errorAfter: number
}

/** Scores of the kept step on the test data. */
export type TestScores = { readonly step: number; readonly scores: Scores }

export type Scores = Readonly<Record<string, number>>
