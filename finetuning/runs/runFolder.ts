/** A run's folder: config.json, metrics.jsonl, result.json, rows.json, adapter/, checkpoints/, events.out.tfevents.* (the layout is a contract; see README). */
import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { versions } from './versions.js'
import { removeTemporaries, temporary, writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { lockFolder } from '../../accelerated/storage/folderLock.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { isAbsent, SystemError, systemInputError } from '../../accelerated/errors/systemError.js'
import type { Settings } from '../../accelerated/training/settings.js'
import { differing, newDefaults, type Fingerprint } from '../../accelerated/checkpoints/fingerprint.js'
import { eventFile, withEventFile } from './eventFile.js'
import type { MetricsLog } from './metricsLog.js'
import { openMetricsLog } from './metricsLog.js'
import { atLengthOf, extensionOf } from './extendRun.js'
import type { Extended, RunOptions, RunConfig, RunResult } from './run.js'
import { decisiveSettings, defaultsOf, fingerprintOf, type RunInputs } from './runFingerprint.js'
import { rowsFile, writeRunRows } from './runRows.js'
import { readRunConfig, readRunResult, runFormatVersion } from './runFiles.js'

/** What a run reads and runs on, as it is found now. */
export type RunSources = {
  readonly device: string
  readonly revision: string | null
  /** rows.json */
  readonly rows: string
  readonly inputs: RunInputs
  /** of the whole run, by its settings */
  readonly steps: number
}

export type RunFolder = {
  readonly adapter: string
  readonly checkpoints: string
  /** what the run's numbers follow from: it goes into each checkpoint */
  readonly fingerprint: Fingerprint
  /** what the run began with and this process has in another version: the same bits are then not promised */
  readonly otherVersions: ReadonlyArray<string>
  /** settings that the version before did not have, in words */
  readonly newSettings: ReadonlyArray<string>
  /** the lengths that the run had before, oldest first, and the fingerprint at the end of each by its step */
  readonly extended: ReadonlyArray<Extended>
  readonly ended: ReadonlyMap<number, Fingerprint>
  /** also evaluate before the first step: the run's own choice where it is resumed */
  readonly evalOnStart: boolean
  /**
   * The first change of what is there: config.json is written, half-written files and the result of an earlier end are removed. Gives
   * metrics.jsonl with its first `lines` lines: what an interrupted run left after its checkpoint is done again.
   */
  readonly begin: (lines: number) => Promise<MetricsLog>
  /** Throws Mistake where another process works in the folder by now: nothing may be written then. */
  readonly check: () => Promise<void>
  readonly writeResult: (result: RunResult) => Promise<void>
  /** Lets other processes work in the folder. */
  readonly release: () => Promise<void>
}

/**
 * Creates the folder, or with `resume` opens it, for this process alone; nothing in it is changed before `begin`. Throws Mistake: it cannot be
 * written, is at work, holds something else, another run, or one with other settings, model or data.
 */
export const openRunFolder = async (options: RunOptions, sources: RunSources): Promise<RunFolder> => {
  const { output } = options
  const [adapter, checkpoints, configFile] = [join(output, 'adapter'), join(output, 'checkpoints'), join(output, 'config.json')]
  const folders = [output, adapter, checkpoints]
  await inspect(options, sources) // before anything is made
  try {
    for (const folder of folders) await makeFolder(folder)
  } catch (error) {
    throw systemInputError(`--output ${output}`, 'a folder that can be written', error)
  }
  const lock = await lockFolder(output, `--output ${output}`)
  try {
    const { earlier, config, fingerprint, newSettings } = await inspect(options, sources) // another process may have been here meanwhile
    const result = join(output, 'result.json')
    const { extended = [] } = config
    const fingerprintAt = (length: Extended): Fingerprint =>
      fingerprintOf(atLengthOf(options.settings, length), sources.device, sources.inputs)
    return {
      adapter,
      checkpoints,
      fingerprint,
      newSettings,
      extended,
      ended: new Map(extended.map((length) => [length.after, fingerprintAt(length)])),
      evalOnStart: config.evalOnStart ?? false,
      otherVersions: earlier === null ? [] : differing(earlier.versions ?? {}, versions),
      begin: async (lines) => {
        await lock.clear()
        for (const folder of folders) await removeTemporaries(folder)
        await rm(result, { force: true }) // first: a run that is made longer is not finished any more
        await writeFileAtomically(configFile, `${JSON.stringify(config, null, 2)}\n`)
        await writeRunRows(output, sources.rows)
        const log = await openMetricsLog(output, lines)
        return withEventFile(log, output, options.tensorboard === true)
      },
      check: lock.check,
      writeResult: (value) => writeFileAtomically(result, `${JSON.stringify(value, null, 2)}\n`),
      release: lock.release,
    }
  } catch (thrown) {
    await lock.release()
    throw thrown
  }
}

/** What is there against what is asked for. Changes nothing. Throws Mistake. */
const inspect = async (options: RunOptions, sources: RunSources) => {
  const { output, resume, model, task, settings } = options
  const { device, revision, inputs } = sources
  await refuseLinks(output)
  const earlier = await readRunConfig(output)
  const evalOnStart = earlier?.evalOnStart ?? options.evalOnStart ?? false
  const extension = resume && earlier !== null ? await extensionIn(output, earlier, settings, sources.steps) : null
  const extended = [...(earlier?.extended ?? []), ...(extension === null ? [] : [extension])]
  const begun = options.adapter === undefined ? {} : { adapter: options.adapter }
  const config: RunConfig = {
    formatVersion: runFormatVersion,
    model,
    revision,
    ...begun,
    task,
    settings,
    device,
    inputs,
    ...(evalOnStart ? { evalOnStart } : {}),
    ...(extended.length > 0 ? { extended } : {}),
    versions,
  }
  const fingerprint = fingerprintOf(settings, device, inputs)
  if (earlier === null) {
    await refuseOthersFiles(output)
    return { earlier, config, fingerprint, newSettings: [] }
  }
  if (!resume)
    throw inputError(
      `--output ${output}`,
      'a new folder (or --resume to go on with the run that is there)',
      'config.json of an earlier run',
    )
  const where = join(output, 'config.json')
  const chosen = choicesDiffering(earlier, extension === null ? config : { ...config, settings: atLengthOf(settings, extension) })
  if (chosen.length > 0) throw inputError(where, 'the settings that the run began with', chosen.join('; '))
  const changed = earlier.inputs === undefined ? [] : differing(earlier.inputs, inputs)
  if (changed.length > 0) throw inputError(where, 'the model and the data that the run began with', changed.join('; '))
  const defaults = defaultsOf(settings)
  const newSettings = newDefaults(decisiveSettings(earlier.settings), decisiveSettings(settings), defaults).map(
    (name) => `${name} ${JSON.stringify(settings[name as 'seed'])}`,
  )
  return { earlier, config, fingerprint, newSettings }
}

/** As `extensionOf`, of the run in a folder. A result that is none is of no finished run. */
const extensionIn = async (output: string, earlier: RunConfig, settings: Settings, steps: number): Promise<Extended | null> =>
  extensionOf(earlier, await finishedResult(output), settings, steps)

/** result.json of a run that came to its end; null where it did not, or the file is damaged: the run then goes on from its checkpoint and writes it anew. */
export const finishedResult = async (output: string): Promise<RunResult | null> => {
  const result = await readRunResult(output).catch((thrown: unknown) => {
    if (thrown instanceof SystemError) throw thrown
    return null
  })
  return result?.interrupted === false ? result : null
}

/** What a run was asked for and another is not, in words. A device or a commit that `after` does not know yet is taken for the same. */
export const choicesDiffering = (
  before: RunConfig,
  after: Pick<RunConfig, 'model' | 'adapter' | 'task' | 'settings'> & Partial<Pick<RunConfig, 'device' | 'revision'>>,
): ReadonlyArray<string> => {
  const flat = ({ model, revision, adapter, task, settings, device }: Omit<RunConfig, 'versions' | 'formatVersion'>): Fingerprint => ({
    model,
    revision: revision ?? null,
    adapter,
    ...task,
    ...decisiveSettings(settings),
    device,
  })
  const revision = after.revision ?? null
  return differing(
    flat({ revision, ...before }),
    flat({ revision: before.revision ?? null, device: before.device, ...after }),
    defaultsOf(after.settings),
  )
}

/** What a run writes and deletes must lie in its own folder. */
const refuseLinks = async (output: string): Promise<void> => {
  for (const name of ['adapter', 'checkpoints']) {
    const found = await lstat(join(output, name)).catch((thrown: unknown) => {
      if (isAbsent(thrown)) return null
      throw systemInputError(join(output, name), 'a readable folder', thrown)
    })
    if (found?.isSymbolicLink() === true) throw inputError(join(output, name), 'a folder of the run itself', 'a link')
  }
}

/** Names that a run, or one who saved an adapter, gives to files. */
const written = ['metrics.jsonl', 'result.json', rowsFile, 'adapter_config.json', 'adapter_model.safetensors', 'model.safetensors']

/** A folder without config.json is new only where it has nothing that a run would overwrite, delete or be taken for. */
const refuseOthersFiles = async (output: string): Promise<void> => {
  const namesIn = (folder: string): Promise<ReadonlyArray<string>> =>
    readdir(folder).catch((thrown: unknown) => {
      if (isAbsent(thrown)) return []
      throw systemInputError(`--output ${output}`, 'a folder that can be read', thrown)
    })
  const found = (await namesIn(output)).find((name) => written.includes(name) || eventFile.test(name))
  const filled = async (name: string): Promise<boolean> => (await namesIn(join(output, name))).some((entry) => !temporary.test(entry))
  const what = found ?? ((await filled('checkpoints')) ? 'checkpoints' : (await filled('adapter')) ? 'an adapter' : null)
  if (what !== null) throw inputError(`--output ${output}`, 'a new folder, or a run with its config.json', `${what} without one`)
}
