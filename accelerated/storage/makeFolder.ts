/** Makes a folder and those above it. Node's own recursion never ends if the system refuses a folder below an existing one, as in /proc. */
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isAbsent, systemCode } from '../errors/systemError.js'

/** An existing folder is no error. @throws the system's error */
export const makeFolder = async (path: string): Promise<void> => {
  try {
    await mkdir(path)
  } catch (thrown) {
    const exists = await stat(path).then(
      (stats) => stats.isDirectory(),
      () => false,
    )
    if (exists) return
    if (!isAbsent(thrown) || dirname(path) === path) throw thrown
    await makeFolder(dirname(path))
    await mkdir(path).catch((second: unknown) => {
      if (systemCode(second) !== 'EEXIST') throw second // another process may have made it meanwhile
    })
  }
}
