/** The folder of a run on a disk: examined before the data is read, and locked for one process. */
import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemInputError } from '../../accelerated/errors/systemError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { removeTemporaries, temporary, writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { lockFolder } from '../../accelerated/storage/folderLock.js'
import { makeFolder } from '../../accelerated/storage/folders.js'
import { detailsFile } from './evaluationDetails.js'
import { eventFile, withEventFile } from './eventFile.js'
import { foldsFile } from './folds.js'
import { negativesFile } from './minedNegatives.js'
import { openMetricsLog } from './metricsLog.js'
import type { RunOptions } from './run.js'
import { readRunConfig } from './runFiles.js'
import { finishedResult, hasAdapter, planFolder, usedFolder, type FolderContent, type RunFolder, type RunSources } from './runFolder.js'
import { rowsFile, writeRunRows } from './runRows.js'
import { trackerFile, trackerNames } from './tracking/service.js'
import { versions } from './versions.js'

/** Changes nothing. @throws InputError if a new run's folder has a run, or the folder has foreign files */
export const examineFolder = async ({ output, resume }: Pick<RunOptions, 'output' | 'resume'>): Promise<FolderContent> => {
  await refuseLinks(output)
  const earlier = await readRunConfig(output)
  if (earlier === null) await refuseForeignFiles(output)
  else if (!resume) throw usedFolder(output)
  return { earlier, finished: earlier === null ? null : await finishedResult(output), hasAdapter: await hasAdapter(output) }
}

/**
 * Creates the folder, or with `resume` opens it, and locks it for this process. Nothing in it changes before `begin`.
 * @param before what the folder held when the run began to prepare
 * @throws InputError if it cannot be written, is in use, or has another run, one with other settings, model or data, or foreign files
 */
export const openRunFolder = async (options: RunOptions, sources: RunSources, before: FolderContent): Promise<RunFolder> => {
  const { output } = options
  planFolder(options, sources, before, versions) // a refused run makes no folder
  const folders = [output, join(output, 'adapter'), join(output, 'checkpoints')]
  try {
    for (const folder of folders) await makeFolder(folder)
  } catch (error) {
    throw systemInputError(words`${option('output')} ${output}`, 'a folder that can be written', error)
  }
  const lock = await lockFolder(output, words`${option('output')} ${output}`)
  try {
    return lockedFolder(options, sources, await examineFolder(options), lock) // another process may have changed it meanwhile
  } catch (thrown) {
    await lock.release()
    throw thrown
  }
}

const lockedFolder = (
  options: RunOptions,
  sources: RunSources,
  content: FolderContent,
  lock: Awaited<ReturnType<typeof lockFolder>>,
): RunFolder => {
  const { output, tensorboard = false } = options
  const plan = planFolder(options, sources, content, versions)
  const [adapter, checkpoints, result] = [join(output, 'adapter'), join(output, 'checkpoints'), join(output, 'result.json')]
  return {
    ...plan,
    ...{ adapter, checkpoints },
    begin: async (lines) => {
      await lock.clear()
      for (const folder of [output, adapter, checkpoints]) await removeTemporaries(folder)
      await rm(result, { force: true }) // before config.json: a run that is made longer is no longer finished
      await writeFileAtomically(join(output, 'config.json'), plan.config)
      await writeRunRows(output, sources.rows)
      return withEventFile(await openMetricsLog(output, lines), output, tensorboard)
    },
    check: lock.check,
    writeResult: (value) => writeFileAtomically(result, `${JSON.stringify(value, null, 2)}\n`),
    release: lock.release,
  }
}

/** What a run writes and deletes must be in its own folder. @throws InputError */
const refuseLinks = async (output: string): Promise<void> => {
  for (const name of ['adapter', 'checkpoints']) {
    const entry = await lstat(join(output, name)).catch((thrown: unknown) => {
      if (isAbsent(thrown)) return null
      throw systemInputError(join(output, name), 'a readable folder', thrown)
    })
    if (entry?.isSymbolicLink() === true) throw inputError(join(output, name), 'a folder of the run itself', 'a link')
  }
}

/** The files of a run, of a sweep or a search, and of saved adapters and models. */
const runFileNames = [
  'metrics.jsonl',
  'result.json',
  rowsFile,
  detailsFile,
  foldsFile,
  negativesFile,
  ...trackerNames.map(trackerFile),
  'adapter_config.json',
  'adapter_model.safetensors',
  'model.safetensors',
  ...['plan.json', 'sweep.json', 'tune.json'],
]

/** @throws InputError if a folder without config.json has files of a run, of a sweep or of an adapter */
export const refuseForeignFiles = async (output: string): Promise<void> => {
  const namesIn = (folder: string): Promise<readonly string[]> =>
    readdir(folder).catch((thrown: unknown) => {
      if (isAbsent(thrown)) return []
      throw systemInputError(words`${option('output')} ${output}`, 'a folder that can be read', thrown)
    })
  const hasEntries = async (name: string): Promise<boolean> => (await namesIn(join(output, name))).some((entry) => !temporary.test(entry))
  const file = (await namesIn(output)).find((name) => runFileNames.includes(name) || eventFile.test(name))
  const foreign = file ?? ((await hasEntries('checkpoints')) ? 'checkpoints' : (await hasEntries('adapter')) ? 'an adapter' : null)
  if (foreign !== null)
    throw inputError(words`${option('output')} ${output}`, 'a new folder, or a run with its config.json', `${foreign} without one`)
}
