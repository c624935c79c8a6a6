/** A folder that appears complete or not at all: its files are made in a neighbor of another name, which then takes the place. */
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdir, readdir, realpath, rename, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemCode, systemInputError } from '../../accelerated/errors/systemError.js'

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
    if (place === (await realpath(folder).catch(() => folder))) throw inputError(where, 'a folder of its own', name)
  }
  const found = await readdir(output).catch((thrown: unknown) => {
    if (systemCode(thrown) === 'ENOTDIR') throw inputError(where, 'a new or an empty folder', 'a file')
    if (isAbsent(thrown)) return []
    throw systemInputError(where, 'a new or an empty folder', thrown)
  })
  if (found.length > 0) throw inputError(where, 'a new or an empty folder', `${quoted(found[0] ?? '')} in it`)
  // a name that no other process has, or had: what a killed one left is nobody's to build on
  const stage = join(dirname(place), `.${basename(place)}.${randomBytes(6).toString('hex')}.partial`)
  const written = (thrown: unknown): never => {
    throw systemInputError(where, 'a folder that can be written', thrown)
  }
  await makeFolder(dirname(place)).catch(written)
  stages.add(stage) // first: a signal may come as soon as it is there
  try {
    await mkdir(stage).catch(written)
    const result = await write(stage)
    await rmdir(place).catch(() => undefined) // an empty one; not every system renames onto it
    await rename(stage, place).catch(written)
    return result
  } catch (thrown) {
    await rm(stage, { recursive: true, force: true })
    throw thrown
  } finally {
    stages.delete(stage)
  }
}

/** Those that are being written. */
const stages = new Set<string>()

/** Removes them at once, for a process that is about to be ended by a signal. */
export const removeStages = (): void => {
  for (const stage of stages) rmSync(stage, { recursive: true, force: true, maxRetries: 5 })
}
