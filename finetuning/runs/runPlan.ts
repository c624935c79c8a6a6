/** The plan of a run in its folder: its config.json, and whether it may start or resume there. */
import { differing, newDefaults, type Fingerprint } from '../../accelerated/checkpoints/fingerprint.js'
import { inputError, type InputError } from '../../accelerated/errors/inputError.js'
import { joinPath } from '../../accelerated/storage/paths.js'
import { differingChoices } from './compareRuns.js'
import { atLengthOf, extensionOf } from './extendRun.js'
import { newRunFrom } from './newRunFrom.js'
import type { StoredMetric } from '../metrics/metricModule.js'
import type { Extended, RunConfig, RunOptions, RunResult } from './run.js'
import { runFormatVersion } from './runFiles.js'
import { decisiveSettings, defaultsOf, fingerprintOf, type RunInputs } from './runFingerprint.js'

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

export type RunPlan = {
  /** the config.json that the run writes */
  readonly config: RunConfig
  /** everything that the run's numbers follow from; each checkpoint stores it */
  readonly fingerprint: Fingerprint
  /** versions that differ from those that the run began with, in words: the bits may differ too */
  readonly otherVersions: ReadonlyArray<string>
  /** settings that did not exist when the run began, in words */
  readonly newSettings: ReadonlyArray<string>
}

/** What the folder has, and the versions of the software that runs now. */
export type FoundRun = {
  readonly earlier: RunConfig | null
  /** the result of an earlier run that is finished */
  readonly finished: RunResult | null
  /** whether the folder has an adapter that a new run can start from */
  readonly hasAdapter: boolean
  readonly versions: Readonly<Record<string, string>>
}

/** @throws InputError if the folder has another run, or one with other settings, model or data */
export const planFrom = (options: RunOptions, sources: RunSources, { earlier, finished, hasAdapter, versions }: FoundRun): RunPlan => {
  const { output, resume, settings } = options
  const fingerprint = fingerprintOf(settings, sources.device, sources.inputs)
  if (earlier === null) return { config: configOf(options, sources, null, [], versions), fingerprint, otherVersions: [], newSettings: [] }
  if (resume) checkSameDevice(output, earlier.device, sources.device)
  const extension = resume ? extensionOf(earlier, finished, settings, sources.steps) : null
  const extended = [...(earlier.extended ?? []), ...(extension === null ? [] : [extension])]
  const config = configOf(options, sources, earlier, extended, versions)
  if (!resume) throw usedFolder(output)
  refuseChanges(output, earlier, config, extension, hasAdapter)
  return {
    config,
    fingerprint,
    otherVersions: [...differing(earlier.versions ?? {}, versions), ...changedMetric(earlier, config)],
    newSettings: newSettings(earlier, config),
  }
}

export const usedFolder = (output: string): InputError =>
  inputError(`--output ${output}`, 'a new folder (or --resume to continue the run in it)', 'config.json of an earlier run')

const configOf = (
  { model, adapter, task, settings, evalOnStart = false, samplePrompts }: RunOptions,
  { device, revision, inputs, metric }: RunSources,
  earlier: RunConfig | null,
  extended: ReadonlyArray<Extended>,
  versions: FoundRun['versions'],
): RunConfig => ({
  formatVersion: runFormatVersion,
  model,
  revision,
  ...(adapter === undefined ? {} : { adapter }),
  task,
  settings,
  device,
  inputs,
  ...((earlier === null ? evalOnStart : (earlier.evalOnStart ?? evalOnStart)) ? { evalOnStart: true } : {}),
  ...(metric === undefined ? {} : { metric }),
  ...(samplePrompts === undefined ? {} : { samplePrompts }),
  ...(extended.length > 0 ? { extended } : {}),
  versions,
})

/** Devices round differently. @throws InputError if a run resumes on another */
export const checkSameDevice = (output: string, before: string, now: string): void => {
  if (before === now) return
  const start = 'to train on another device, start a new run with another --output'
  throw inputError('device', `${before}, on which the run in ${output} began (${start})`, now)
}

/** @throws InputError if the run would continue with other choices, model or data than it began with */
const refuseChanges = (output: string, earlier: RunConfig, config: RunConfig, extension: Extended | null, hasAdapter: boolean): void => {
  const [before, now] = [earlier, config].map(({ metric }) => metric?.name)
  if (before !== now)
    throw inputError(
      '--metric',
      before === undefined ? 'none, as the run began without' : `the module of ${before}, which the run began with`,
      now ?? 'none',
    )
  const atEarlierLength = extension === null ? config : { ...config, settings: atLengthOf(config.settings, extension) }
  const refuse = (expected: string, changes: ReadonlyArray<string>): void => {
    if (changes.length === 0) return
    const remedy = hasAdapter ? newRunFrom(output, earlier, changes) : ''
    throw inputError(joinPath(output, 'config.json'), expected + remedy, changes.join('; '))
  }
  refuse('the settings that the run began with', differingChoices(earlier, atEarlierLength))
  refuse(
    'the model and the data that the run began with',
    earlier.inputs === undefined ? [] : differing(earlier.inputs, config.inputs ?? {}),
  )
}

/** The best score so far is then another metric's. */
const changedMetric = (earlier: RunConfig, config: RunConfig): ReadonlyArray<string> =>
  earlier.metric?.sha256 === config.metric?.sha256 ? [] : [`the module of the metric ${config.metric?.name} has changed`]

const newSettings = (earlier: RunConfig, { settings }: RunConfig): ReadonlyArray<string> =>
  newDefaults(decisiveSettings(earlier.settings), decisiveSettings(settings), defaultsOf(settings)).map(
    (name) => `${name} ${JSON.stringify((settings as Readonly<Record<string, unknown>>)[name])}`,
  )
