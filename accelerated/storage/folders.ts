/** Folders of the disk: makes them with those above, and removes those of a cache that nobody has used for long. */
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isAbsent, systemCode } from '../errors/systemError.js'

/**
 * Makes a folder and those above it; an existing one is no error. Node's own recursion never ends if the system refuses a folder below an existing
 * one, as in /proc. @throws the system's error
 */
export const makeFolder = async (path: string): Promise<void> => {
  try {
    await mkdir(path)
  } catch (thrown) {
    if (await isFolder(path)) return
    if (!isAbsent(thrown) || dirname(path) === path) throw thrown
    await makeFolder(dirname(path))
    await mkdir(path).catch((second: unknown) => {
      if (systemCode(second) !== 'EEXIST') throw second // another process may have made it meanwhile
    })
  }
}

/** Whether there is a folder, or a link to one. */
export const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  )

/** Each use of a folder of a cache marks it by the time of this file. */
const mark = '.used'

/** Days after the last use. */
const maxIdleDays = 30

/** A cache that cannot be written is used all the same. */
export const markUsed = (folder: string): Promise<void> => writeFile(join(folder, mark), '').catch(() => undefined)

/** Removes the folders of the cache whose names match and whose last use is older. What cannot be removed stays. */
export const removeUnused = async (cache: string, names: RegExp): Promise<void> => {
  const before = Date.now() - maxIdleDays * 24 * 3_600_000
  for (const name of await readdir(cache).catch(() => [])) {
    if (!names.test(name)) continue
    const folder = join(cache, name)
    const { mtimeMs } = await stat(join(folder, mark)).catch(() => stat(folder).catch(() => ({ mtimeMs: Infinity })))
    if (mtimeMs < before) await rm(folder, { recursive: true, force: true }).catch(() => undefined)
  }
}
