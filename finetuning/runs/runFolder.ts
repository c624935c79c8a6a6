/** A run's folder: config.json, metrics.jsonl, result.json, rows.json, evaluation.json, workers.json, adapter/, checkpoints/ and events.out.tfevents.*. The layout is public. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Fingerprint } from '../../accelerated/checkpoints/fingerprint.js'
import { systemInputError } from '../../accelerated/errors/systemError.js'
import { removeTemporaries, writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { lockFolder } from '../../accelerated/storage/folderLock.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { withEventFile } from './eventFile.js'
import { atLengthOf } from './extendRun.js'
import { openMetricsLog, type MetricsLog } from './metricsLog.js'
import { planRun, type RunPlan, type RunSources } from './planRun.js'
import type { Extended, RunOptions, RunResult } from './run.js'
import { fingerprintOf } from './runFingerprint.js'
import { writeRunRows } from './runRows.js'
import { workersFile } from './workersFile.js'

export type { RunSources }

export type RunFolder = Pick<RunPlan, 'fingerprint' | 'otherVersions' | 'newSettings'> & {
  readonly adapter: string
  readonly checkpoints: string
  /** the lengths that the run had before, oldest first */
  readonly extended: ReadonlyArray<Extended>
  /** the fingerprint at the end of each earlier length, by its step */
  readonly ended: ReadonlyMap<number, Fingerprint>
  /** also evaluate before the first step; a resumed run keeps its choice */
  readonly evalOnStart: boolean
  /**
   * Makes the first change: writes config.json, and removes temporary files and the result of an earlier end.
   * @returns metrics.jsonl with its first `lines` lines; the steps after the checkpoint are logged again
   */
  readonly begin: (lines: number) => Promise<MetricsLog>
  /** Call before each write. @throws InputError if another process uses the folder by now */
  readonly check: () => Promise<void>
  readonly writeResult: (result: RunResult) => Promise<void>
  /** Unlocks the folder. */
  readonly release: () => Promise<void>
}

/**
 * Creates the folder, or with `resume` opens it, and locks it for this process. Nothing in it changes before `begin`.
 * @throws InputError if it cannot be written, is in use, or has another run, one with other settings, model or data, or foreign files
 */
export const openRunFolder = async (options: RunOptions, sources: RunSources): Promise<RunFolder> => {
  const { output } = options
  await planRun(options, sources) // before a folder is made
  const folders = [output, join(output, 'adapter'), join(output, 'checkpoints')]
  try {
    for (const folder of folders) await makeFolder(folder)
  } catch (error) {
    throw systemInputError(`--output ${output}`, 'a folder that can be written', error)
  }
  const lock = await lockFolder(output, `--output ${output}`)
  try {
    return lockedFolder(options, sources, await planRun(options, sources), lock) // another process may have changed it meanwhile
  } catch (thrown) {
    await lock.release()
    throw thrown
  }
}

const lockedFolder = (
  { output, settings, tensorboard = false }: RunOptions,
  { device, inputs, rows }: RunSources,
  { config, ...plan }: RunPlan,
  lock: Awaited<ReturnType<typeof lockFolder>>,
): RunFolder => {
  const [adapter, checkpoints, result] = [join(output, 'adapter'), join(output, 'checkpoints'), join(output, 'result.json')]
  const { extended = [], evalOnStart = false } = config
  const fingerprintAt = (length: Extended): Fingerprint => fingerprintOf(atLengthOf(settings, length), device, inputs)
  return {
    ...plan,
    ...{ adapter, checkpoints, extended, evalOnStart },
    ended: new Map(extended.map((length) => [length.after, fingerprintAt(length)])),
    begin: async (lines) => {
      await lock.clear()
      for (const folder of [output, adapter, checkpoints]) await removeTemporaries(folder)
      await rm(result, { force: true }) // before config.json: a run that is made longer is no longer finished
      await rm(join(output, workersFile), { force: true }) // of an earlier process
      await writeFileAtomically(join(output, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
      await writeRunRows(output, rows)
      return withEventFile(await openMetricsLog(output, lines), output, tensorboard)
    },
    check: lock.check,
    writeResult: (value) => writeFileAtomically(result, `${JSON.stringify(value, null, 2)}\n`),
    release: lock.release,
  }
}
