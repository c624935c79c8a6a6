/** Makes a folder and those above it. Node's own recursion goes round for ever where the system has no such folder and its parent is there, as in /proc. */
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isAbsent, systemCode } from '../errors/systemError.js'

/** Nothing to do where it is there. Throws what the system says. */
export const makeFolder = async (path: string): Promise<void> => {
  try {
    await mkdir(path)
  } catch (thrown) {
    const there = await stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    )
    if (there) return
    if (!isAbsent(thrown) || dirname(path) === path) throw thrown
    await makeFolder(dirname(path))
    await mkdir(path).catch((again: unknown) => {
      if (systemCode(again) !== 'EEXIST') throw again // another process may have made it meanwhile
    })
  }
}
