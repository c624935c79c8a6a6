/** A folder that appears complete or not at all: its files are made in a neighbour of another name, which then takes the place. */
import { mkdir, readdir, realpath, rename, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { mistake, quoted, reason } from '../accelerated/files/mistake.js'

/**
 * Runs `write` with an empty folder that becomes `output`. `others`: folders that `output` must not be, by what to call them.
 * Throws Mistake: `output` is one of them, is no folder, holds something, or cannot be written; what `write` throws is passed on.
 */
export const inNewFolder = async <T>(
  output: string,
  others: Readonly<Record<string, string>>,
  write: (folder: string) => Promise<T>,
): Promise<T> => {
  const where = `--output ${output}`
  const place = await realpath(output).catch(() => resolve(output))
  for (const [name, folder] of Object.entries(others)) {
    if (place === (await realpath(folder).catch(() => folder))) throw mistake(where, 'a folder of its own', name)
  }
  const found = await readdir(output).catch((thrown: NodeJS.ErrnoException) => {
    if (thrown.code === 'ENOENT') return []
    throw mistake(where, 'a new or an empty folder', thrown.code === 'ENOTDIR' ? 'a file' : reason(thrown))
  })
  if (found.length > 0) throw mistake(where, 'a new or an empty folder', `${quoted(found[0] ?? '')} in it`)
  const stage = join(dirname(place), `.${basename(place)}.${process.pid}.partial`)
  try {
    await mkdir(stage, { recursive: true })
  } catch (thrown) {
    throw mistake(where, 'a folder that can be written', reason(thrown))
  }
  try {
    const result = await write(stage)
    await rmdir(place).catch(() => undefined) // an empty one; not every system renames onto it
    await rename(stage, place).catch((thrown: unknown) => {
      throw mistake(where, 'a folder that can be written', reason(thrown))
    })
    return result
  } catch (thrown) {
    await rm(stage, { recursive: true, force: true })
    throw thrown
  }
}
