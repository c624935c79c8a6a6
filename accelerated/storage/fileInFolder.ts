/** A named file of a folder that other people wrote: links may not lead out of it. */
import { inputError } from '../errors/inputError.js'
import { isAbsent, systemInputError } from '../errors/systemError.js'
import { nodeFiles } from './nodeFiles.js'
import { folderOf, joinPath, nameOf } from './paths.js'
import type { Storage } from './storage.js'

/**
 * The path of a file in the folder; undefined if there is none. A link may lead to another file of the folder. In the hub's cache
 * (models--…/snapshots/REVISION/FILE → ../../blobs/HASH) it may lead to any file of the same model's cache.
 * @throws InputError if a link leads elsewhere, or if the name is not that of a file
 */
export const fileInFolder = async (folder: string, name: string, storage: Storage = nodeFiles): Promise<string | undefined> => {
  const file = joinPath(folder, name)
  try {
    const root = rootOf(await storage.realPath(folder))
    const target = await storage.realPath(file)
    if (!target.startsWith(root.endsWith('/') ? root : `${root}/`)) throw inputError(file, `a file within ${root}`, `a link to ${target}`)
    if ((await storage.stat(target))?.kind !== 'file') throw inputError(file, 'a file', 'something else')
    return file
  } catch (thrown) {
    if (isAbsent(thrown)) return undefined
    throw systemInputError(file, 'a readable file', thrown)
  }
}

/** The path of a file that the folder must have. @throws InputError as fileInFolder does, and if there is none */
export const requiredFile = async (folder: string, name: string, storage: Storage = nodeFiles): Promise<string> => {
  const file = await fileInFolder(folder, name, storage)
  if (file === undefined) throw inputError(joinPath(folder, name), 'a readable file', 'none (no such file or folder)')
  return file
}

/** The folder within which a folder's links may lead: the model's cache for a snapshot of the hub's cache, else the folder itself. */
export const rootOf = (folder: string): string => {
  const snapshots = folderOf(folder)
  const model = folderOf(snapshots)
  return nameOf(snapshots) === 'snapshots' && nameOf(model).startsWith('models--') ? model : folder
}
