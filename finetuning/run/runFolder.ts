/**
 * The folder of a run: new, resumed or refused. Its layout is public: config.json, metrics.jsonl, result.json, rows.json, evaluation.json,
 * adapter/, checkpoints/ and events.out.tfevents.*. These rules hold in every storage; nodeFolder.ts adds what a disk needs.
 */
import { differing, newDefaults, type Fingerprint } from '../../accelerated/checkpoints/fingerprint.js'
import { inputError, type InputError } from '../../accelerated/errors/inputError.js'
import { SystemError } from '../../accelerated/errors/systemError.js'
import { option, words, type Text } from '../../accelerated/errors/words.js'
import { scheduleSettings, trainingSettings } from '../../accelerated/settings/commonSettings.js'
import { fileInFolder, joinPath } from '../../accelerated/storage/paths.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import type { Settings } from '../../accelerated/training/resolveSettings.js'
import { inShell } from '../commandLine/shell.js'
import type { StoredMetric } from '../metrics/metricModule.js'
import type { MetricsLog } from './metricsLog.js'
import type { Extended, RunConfig, RunOptions, RunResult } from './run.js'
import { readRunResult, runFormatVersion } from './runFiles.js'
import { decisiveSettings, earlierDefaults, buildFingerprint, type RunInputs } from './runFingerprint.js'

/** An open folder. Nothing in it changes before `begin`. */
export type RunFolder = FolderPlan & {
  readonly adapter: string
  readonly checkpoints: string
  /**
   * Makes the first change: writes config.json, and removes temporary files and the result of an earlier end.
   * @returns metrics.jsonl with its first `lines` lines; the steps after the checkpoint are logged again
   */
  readonly begin: (lines: number) => Promise<MetricsLog>
  /** Call before each write. @throws InputError if another process uses the folder by now */
  readonly check: () => Promise<void>
  readonly writeResult: (result: RunResult) => Promise<void>
  readonly release: () => Promise<void>
}

/** What a run reads and runs on now. */
export type RunSources = {
  readonly device: string
  readonly revision: string | null
  /** the text of rows.json */
  readonly rows: string
  readonly inputs: RunInputs
  /** the custom metric; absent: there is none */
  readonly metric?: StoredMetric
  /** steps of the whole run, by its settings */
  readonly steps: number
}

/** What a look at the folder shows. */
export type FolderContent = {
  readonly earlier: RunConfig | null
  /** the result of an earlier run that is finished */
  readonly finished: RunResult | null
  /** whether the folder has an adapter that a new run can start from */
  readonly hasAdapter: boolean
}

/** What the run does in the folder. */
export type FolderPlan = {
  /** the text of config.json */
  readonly config: string
  /** everything that the run's numbers follow from; each checkpoint stores it */
  readonly fingerprint: Fingerprint
  /** the lengths that the run had before, oldest first */
  readonly extended: readonly Extended[]
  /** the fingerprint at the end of each earlier length, by its step */
  readonly ended: ReadonlyMap<number, Fingerprint>
  /** also evaluate before the first step; a resumed run keeps its choice */
  readonly evalOnStart: boolean
  /** versions that differ from those that the run began with, in words: the bits may differ too */
  readonly otherVersions: readonly string[]
  /** settings that did not exist when the run began, in words */
  readonly newSettings: readonly string[]
}

/** @throws InputError if the folder has another run, or one with other settings, model or data */
export const planFolder = (
  options: RunOptions,
  sources: RunSources,
  { earlier, finished, hasAdapter }: FolderContent,
  versions: Readonly<Record<string, string>>,
): FolderPlan => {
  const { output, resume, settings } = options
  if (earlier !== null && !resume) throw usedFolder(output)
  if (earlier !== null) checkSameDevice(output, earlier.device, sources.device)
  const extension = earlier === null ? null : findExtension(earlier, finished, settings, sources.steps)
  const extended = [...(earlier?.extended ?? []), ...(extension === null ? [] : [extension])]
  const config = toConfig(options, sources, earlier, extended, versions)
  if (earlier !== null) refuseChanges(output, earlier, config, extension, hasAdapter)
  const fingerprintAt = (at: Settings): Fingerprint => buildFingerprint(at, sources.device, sources.inputs)
  return {
    config: `${JSON.stringify(config, null, 2)}\n`,
    fingerprint: fingerprintAt(settings),
    extended,
    ended: new Map(extended.map((length) => [length.after, fingerprintAt(atLength(settings, length))])),
    evalOnStart: config.evalOnStart ?? false,
    otherVersions: earlier === null ? [] : [...differing(earlier.versions ?? {}, versions), ...changedMetric(earlier, config)],
    newSettings: earlier === null ? [] : newSettings(earlier, config),
  }
}

export const usedFolder = (output: string): InputError =>
  inputError(
    words`${option('output')} ${output}`,
    words`a new folder (or ${option('resume', true)} to continue the run in it)`,
    'config.json of an earlier run',
  )

const toConfig = (
  { model, adapter, task, settings, evalOnStart = false, samplePrompts }: RunOptions,
  { device, revision, inputs, metric }: RunSources,
  earlier: RunConfig | null,
  extended: readonly Extended[],
  versions: Readonly<Record<string, string>>,
): RunConfig => ({
  formatVersion: runFormatVersion,
  model,
  revision,
  ...(adapter === undefined ? {} : { adapter }),
  task,
  settings,
  device,
  inputs,
  ...((earlier?.evalOnStart ?? evalOnStart) ? { evalOnStart: true } : {}),
  ...(metric === undefined ? {} : { metric }),
  ...(samplePrompts === undefined ? {} : { samplePrompts }),
  ...(extended.length > 0 ? { extended } : {}),
  versions,
})

/** Devices round differently. @throws InputError if a run resumes on another */
export const checkSameDevice = (output: string, before: string, now: string): void => {
  if (before === now) return
  const start = words`to train on another device, start a new run with another ${option('output')}`
  throw inputError(option('device'), words`${before}, on which the run in ${output} began (${start})`, now)
}

/** @throws InputError if the run would continue with other choices, model or data than it began with */
const refuseChanges = (output: string, earlier: RunConfig, config: RunConfig, extension: Extended | null, hasAdapter: boolean): void => {
  const [before, now] = [earlier, config].map(({ metric }) => metric?.name)
  if (before !== now)
    throw inputError(
      option('metric'),
      before === undefined ? 'none, as the run began without' : `the module of ${before}, which the run began with`,
      now ?? 'none',
    )
  const atEarlierLength = extension === null ? config : { ...config, settings: atLength(config.settings, extension) }
  const refuse = (expected: string, changes: readonly string[]): void => {
    if (changes.length === 0) return
    const remedy = hasAdapter ? suggestNewRun(output, earlier, changes) : ''
    throw inputError(joinPath(output, 'config.json'), words`${expected}${remedy}`, changes.join('; '))
  }
  refuse('the settings that the run began with', differingChoices(earlier, atEarlierLength))
  refuse(
    'the model and the data that the run began with',
    earlier.inputs === undefined ? [] : differing(earlier.inputs, config.inputs ?? {}),
  )
}

/** The best score so far is then another metric's. */
const changedMetric = (earlier: RunConfig, config: RunConfig): readonly string[] =>
  earlier.metric?.sha256 === config.metric?.sha256 ? [] : [`the module of the metric ${config.metric?.name} has changed`]

const newSettings = (earlier: RunConfig, { settings }: RunConfig): readonly string[] =>
  newDefaults(decisiveSettings(earlier.settings), decisiveSettings(settings), earlierDefaults(settings)).map(
    (name) => `${name} ${JSON.stringify((settings as Readonly<Record<string, unknown>>)[name])}`,
  )

// A resumed run keeps its choices

type Choices = Pick<RunConfig, 'model' | 'adapter' | 'task' | 'settings'> & Partial<Pick<RunConfig, 'device' | 'revision'>>

/** What `after` chooses differently, in words. A device or a commit that one of the two does not have counts as the same. */
export const differingChoices = (before: RunConfig, after: Choices): readonly string[] => {
  const revision = after.revision ?? null
  return differing(
    flatten({ revision, ...before }),
    flatten({ revision: before.revision ?? null, device: before.device, ...after }),
    earlierDefaults(after.settings),
  )
}

const flatten = ({ model, revision, adapter, task, settings, device }: Choices): Fingerprint => ({
  model: model.replace(/^.*[\\/]finetuning[\\/]embedded[\\/]model$/, 'embedded'), // as earlier versions recorded it
  revision: revision ?? null,
  adapter,
  ...task,
  ...decisiveSettings(settings),
  device,
})

/** result.json of a finished run. null: the run is not finished, or the file is damaged; the run then continues from its checkpoint and writes it again. */
export const finishedResult = async (output: string, storage?: Storage): Promise<RunResult | null> => {
  const result = await readRunResult(output, storage).catch((thrown: unknown) => {
    if (thrown instanceof SystemError) throw thrown
    return null
  })
  return result?.interrupted === false ? result : null
}

// A finished run may be made longer

type Length = Pick<Settings, 'epochs' | 'maxSteps'>

/** The settings with the length of another run, so that only other differences remain. */
export const atLength = (settings: Settings, { epochs, maxSteps }: Length): Settings => ({ ...settings, epochs, maxSteps })

/**
 * The length that the run had and that `settings` change. null: they do not change it, or the run is not finished; its length is then a setting
 * like any other.
 * @param result of the finished run, or null @param steps of the whole run by `settings` @throws InputError if the run would not be longer
 */
export const findExtension = (
  { settings: { epochs, maxSteps } }: Pick<RunConfig, 'settings'>,
  result: Pick<RunResult, 'steps' | 'stepsDone'> | null,
  settings: Settings,
  steps: number,
): Extended | null => {
  if ((epochs === settings.epochs && maxSteps === settings.maxSteps) || result === null) return null
  if (steps <= result.stepsDone)
    throw inputError(
      settings.maxSteps === null ? option('epochs') : option('maxSteps'),
      `more than the ${result.stepsDone} steps that the finished run took`,
      `${steps} steps`,
    )
  return { epochs, maxSteps, steps: result.steps, after: result.stepsDone }
}

// A refused run may start again from its adapter

/** Whether the run has written an adapter. A run that trains all weights writes a model. */
export const hasAdapter = async (output: string): Promise<boolean> =>
  (await fileInFolder(joinPath(output, 'adapter'), 'adapter_config.json')) !== undefined

/** What may change without a change of the adapter's tensors: settings, and inputs (runFingerprint.ts). */
const harmless = [
  ...Object.keys({ ...trainingSettings, ...scheduleSettings }),
  'training rows',
  'evaluation rows',
  'test rows',
  'classes',
  'scale of scores',
]

/** The flags of the new run, in parentheses; empty where the adapter would not fit it. @param changes in the words of `differing` */
export const suggestNewRun = (output: string, { settings }: Pick<RunConfig, 'settings'>, changes: readonly string[]): Text => {
  const fits = changes.every((change) => harmless.some((name) => change.startsWith(`${name} was `)))
  if (!fits || settings.warmupGate === 'expected' || settings.method === 'adalora') return '' // AdaLoRA's adapter has fewer triplets than a run begins with
  const [config, adapter] = [inShell(joinPath(output, 'config.json')), inShell(joinPath(output, 'adapter'))]
  return words` (to start a new run from its adapter: ${option('config')} ${config} ${option('adapter')} ${adapter} and another ${option('output')})`
}
