/** In place of the disk (nodeFiles.ts) in a browser, which has none: a reader or writer must bring a storage. */
import { inputError } from '../errors/inputError.js'
import type { Storage } from './storage.js'

const refused = (path: string): Promise<never> =>
  Promise.reject(inputError(path, 'a storage of the caller (a browser has no disk)', 'none'))

export const nodeFiles: Storage = {
  stat: refused,
  list: refused,
  open: refused,
  write: refused,
  makeFolder: refused,
  rename: refused,
  remove: refused,
  realPath: refused,
}

/** A folder of the caller's storage. */
export const locateCache = (): string => 'salora-cache'
