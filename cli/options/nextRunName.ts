/** A folder of its own for a run that was given none: runs/<task>-<method>-<n> with the smallest n that is free. */
import { mkdir } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { systemCode, systemInputError } from '../../accelerated/errors/systemError.js'

/** Made at once, empty: of several processes that look at the same time, each gets another. Throws Mistake. */
export const nextRunFolder = async (task: string, method: string): Promise<string> => {
  const stem = basename(task, extname(task)).replace(/[^\w.-]+/g, '_')
  try {
    await makeFolder('runs')
    for (let n = 1; ; n++) {
      const folder = join('runs', `${stem}-${method}-${n}`)
      const taken = await mkdir(folder).then(
        () => false,
        (thrown: unknown) => {
          if (systemCode(thrown) !== 'EEXIST') throw thrown
          return true
        },
      )
      if (!taken) return folder
    }
  } catch (thrown) {
    throw systemInputError('runs', 'a folder that can be written (or --output)', thrown)
  }
}
