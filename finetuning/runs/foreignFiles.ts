/** Refuses folders in which a run would overwrite, delete or be confused with files that it did not write. */
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemInputError } from '../../accelerated/errors/systemError.js'
import { temporary } from '../../accelerated/storage/atomicFile.js'
import { eventFile } from './eventFile.js'
import { detailsFile } from './evaluationDetails.js'
import { rowsFile } from './runRows.js'
import { trackerFile, trackerNames } from './tracking/trackerNames.js'
import { workersFile } from './workersFile.js'

/** What a run writes and deletes must be in its own folder. @throws InputError */
export const refuseLinks = async (output: string): Promise<void> => {
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
  workersFile,
  ...trackerNames.map(trackerFile),
  'adapter_config.json',
  'adapter_model.safetensors',
  'model.safetensors',
  ...['plan.json', 'sweep.json', 'tune.json'],
]

/** @throws InputError if a folder without config.json has files of a run, of a sweep or of an adapter */
export const refuseForeignFiles = async (output: string): Promise<void> => {
  const namesIn = (folder: string): Promise<ReadonlyArray<string>> =>
    readdir(folder).catch((thrown: unknown) => {
      if (isAbsent(thrown)) return []
      throw systemInputError(`--output ${output}`, 'a folder that can be read', thrown)
    })
  const hasEntries = async (name: string): Promise<boolean> => (await namesIn(join(output, name))).some((entry) => !temporary.test(entry))
  const file = (await namesIn(output)).find((name) => runFileNames.includes(name) || eventFile.test(name))
  const foreign = file ?? ((await hasEntries('checkpoints')) ? 'checkpoints' : (await hasEntries('adapter')) ? 'an adapter' : null)
  if (foreign !== null) throw inputError(`--output ${output}`, 'a new folder, or a run with its config.json', `${foreign} without one`)
}
