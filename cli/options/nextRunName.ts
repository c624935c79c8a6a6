/** The folder of a run without --output: runs/<task>-<method>-<n> with the smallest free n. */
import { mkdir } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { systemCode, systemInputError } from '../../accelerated/errors/systemError.js'

/** Creates the folder at once, so that processes that start together get different ones. @throws InputError if it cannot be created */
export const nextRunFolder = async (task: string, method: string): Promise<string> => {
  const stem = basename(task, extname(task)).replace(/[^\w.-]+/g, '_')
  try {
    await makeFolder('runs')
    for (let n = 1; ; n++) {
      const folder = join('runs', `${stem}-${method}-${n}`)
      const exists = await mkdir(folder).then(
        () => false,
        (thrown: unknown) => {
          if (systemCode(thrown) !== 'EEXIST') throw thrown
          return true
        },
      )
      if (!exists) return folder
    }
  } catch (thrown) {
    throw systemInputError('runs', 'a folder that can be written (or --output)', thrown)
  }
}
