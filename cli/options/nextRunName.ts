/** The folder of a run without --output: runs/<task>-<method>-<n> with the smallest free n. */
import { mkdir, rmdir } from 'node:fs/promises'
import { dirname, join, parse } from 'node:path'
import { unpackedName } from '../../accelerated/storage/paths.js'
import { makeFolder } from '../../accelerated/storage/folders.js'
import { systemCode, systemInputError } from '../../accelerated/errors/systemError.js'

/** Creates the folder at once, so that processes that start together get different ones. @throws InputError if it cannot be created */
export const nextRunFolder = async (task: string, method: string): Promise<string> => {
  const stem = parse(unpackedName(task)).name.replace(/[^\w.-]+/g, '_')
  try {
    await makeFolder('runs')
    for (let n = 1; ; ) {
      const folder = join('runs', `${stem}-${method}-${n}`)
      try {
        await mkdir(folder)
        return folder
      } catch (thrown) {
        if (systemCode(thrown) === 'EEXIST') n++
        // another process has just removed runs/, since its run was refused
        else if (systemCode(thrown) === 'ENOENT') await makeFolder('runs')
        else throw thrown
      }
    }
  } catch (thrown) {
    throw systemInputError('runs', 'a folder that can be written (or --output)', thrown)
  }
}

/** Removes the folder of a run that wrote nothing, and runs/ if nothing else is there. */
export const removeEmptyRun = async (folder: string): Promise<void> => {
  try {
    await rmdir(folder) // only an empty folder can be removed
    await rmdir(dirname(folder))
  } catch {
    // the run, or another one, has files
  }
}
