/** Folders of a cache that nobody has used for long. Each use marks its folder; those whose mark is old are removed. */
import { readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const mark = '.used'

/** Days after the last use. */
export const daysKept = 30

/** A cache that cannot be written is used all the same. */
export const markUsed = (folder: string): Promise<void> => writeFile(join(folder, mark), '').catch(() => undefined)

/** Removes the folders of the cache whose names match and whose last use is older. What cannot be removed stays. */
export const removeUnused = async (cache: string, names: RegExp): Promise<void> => {
  const before = Date.now() - daysKept * 24 * 3_600_000
  for (const name of await readdir(cache).catch(() => [])) {
    if (!names.test(name)) continue
    const folder = join(cache, name)
    const { mtimeMs } = await stat(join(folder, mark)).catch(() => stat(folder).catch(() => ({ mtimeMs: Infinity })))
    if (mtimeMs < before) await rm(folder, { recursive: true, force: true }).catch(() => undefined)
  }
}
