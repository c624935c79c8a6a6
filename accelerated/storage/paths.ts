/** Paths of a storage: names between slashes, on every system; and files of a folder, whose links may not lead out of it. */
import { inputError } from '../errors/inputError.js'
import { isAbsent, systemInputError } from '../errors/systemError.js'
import { nodeFiles } from './nodeFiles.js'
import type { Storage } from './storage.js'

/** `folder/name`, without a second slash. */
export const joinPath = (folder: string, ...names: readonly string[]): string =>
  names.reduce((path, name) => (path === '' || path.endsWith('/') ? `${path}${name}` : `${path}/${name}`), folder)

/** The path without slashes at its end. */
export const trimmed = (path: string): string => path.replace(/\/+$/, '')

/** The name after the last slash. */
export const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/** The path before the last slash; '' for a name alone. */
export const parentFolder = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))

/** A name without the `.gz` of a packed file: `reviews.csv` for `reviews.csv.gz`. What a file holds is the ending of this name. */
export const unpackedName = (path: string): string => path.replace(/(?<=[^/\\])\.gz$/i, '')

/** The ending of a name from its last dot on, as `.csv`; '' without a dot, and for a name that begins with its only dot. */
export const fileExtension = (path: string): string => {
  const name = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1)
  const dot = name.lastIndexOf('.')
  return dot <= 0 || name === '..' ? '' : name.slice(dot)
}

/**
 * The path of a named file in a folder that other people wrote; undefined if there is none. A link may lead to another file of the folder. In the
 * hub's cache (models--…/snapshots/REVISION/FILE → ../../blobs/HASH) it may lead to any file of the same model's cache.
 * @throws InputError if a link leads elsewhere, or if the name is not that of a file
 */
export const fileInFolder = async (folder: string, name: string, storage: Storage = nodeFiles): Promise<string | undefined> => {
  const file = joinPath(folder, name)
  try {
    const root = findLinkRoot(await storage.realPath(folder))
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
export const findLinkRoot = (folder: string): string => {
  const snapshots = parentFolder(folder)
  const model = parentFolder(snapshots)
  return baseName(snapshots) === 'snapshots' && baseName(model).startsWith('models--') ? model : folder
}
