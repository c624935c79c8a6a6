/** Creates a folder atomically: writes its files into a temporary folder beside it, then renames that folder. */
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdir, readdir, realpath, rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { makeFolder } from '../../accelerated/storage/folders.js'
import { renameFile } from '../../accelerated/storage/atomicFile.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemCode, systemInputError } from '../../accelerated/errors/systemError.js'
import { option, words } from '../../accelerated/errors/words.js'

/**
 * Runs `write` with an empty folder that becomes `output`. Errors of `write` pass through.
 * @param others folders that `output` must not be, by their names in error messages
 * @throws InputError if `output` is one of `others`, a file, a folder that is not empty, or cannot be written
 */
export const inNewFolder = async <T>(
  output: string,
  others: Readonly<Record<string, string>>,
  write: (folder: string) => Promise<T>,
): Promise<T> => {
  const where = words`${option('output')} ${output}`
  const target = await realpath(output).catch(() => resolve(output))
  for (const [name, folder] of Object.entries(others)) {
    if (target === (await realpath(folder).catch(() => folder))) throw inputError(where, 'a folder of its own', name)
  }
  const entries = await readdir(output).catch((thrown: unknown) => {
    if (systemCode(thrown) === 'ENOTDIR') throw inputError(where, 'a new or an empty folder', 'a file')
    if (isAbsent(thrown)) return []
    throw systemInputError(where, 'a new or an empty folder', thrown)
  })
  if (entries.length > 0) throw inputError(where, 'a new or an empty folder', `${quoted(entries[0] ?? '')} in it`)
  // A random name: no process may build on what a killed process left behind.
  const stage = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.partial`)
  const rethrow = (thrown: unknown): never => {
    throw systemInputError(where, 'a folder that can be written', thrown)
  }
  await makeFolder(dirname(target)).catch(rethrow)
  stages.add(stage) // before mkdir: a signal may arrive at once
  try {
    await mkdir(stage).catch(rethrow)
    const result = await write(stage)
    await rmdir(target).catch(() => undefined) // an empty folder; not every system renames onto one
    await renameFile(stage, target).catch(rethrow)
    return result
  } catch (thrown) {
    await rm(stage, { recursive: true, force: true })
    throw thrown
  } finally {
    stages.delete(stage)
  }
}

/** Temporary folders that are being written. */
const stages = new Set<string>()

/** Removes all temporary folders synchronously, before a signal ends the process. */
export const removeStages = (): void => {
  for (const stage of stages) rmSync(stage, { recursive: true, force: true, maxRetries: 5 })
}
