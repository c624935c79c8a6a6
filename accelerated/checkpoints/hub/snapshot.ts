/** The model and commit in the path of a snapshot in the hub's cache: …/models--OWNER--NAME/snapshots/REVISION. */
import { nodeFiles } from '../../storage/nodeFiles.js'
import { folderOf, nameOf } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'

/** The hub id of a snapshot's model; undefined for any other folder. @throws InputError if there is no such folder */
export const hubIdOf = async (folder: string, storage: Storage = nodeFiles): Promise<string | undefined> => {
  const snapshots = folderOf(await storage.realPath(folder))
  const model = nameOf(folderOf(snapshots))
  return nameOf(snapshots) === 'snapshots' && model.startsWith('models--')
    ? model.slice('models--'.length).replaceAll('--', '/')
    : undefined
}

/** The commit of a snapshot; null for any other folder. @throws InputError if there is no such folder */
export const commitOfSnapshot = async (folder: string, storage: Storage = nodeFiles): Promise<string | null> => {
  const path = await storage.realPath(folder)
  return nameOf(folderOf(path)) === 'snapshots' && /^[0-9a-f]{40}$/.test(nameOf(path)) ? nameOf(path) : null
}
