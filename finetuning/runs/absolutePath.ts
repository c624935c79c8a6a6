/** Where a model, a data file or a folder lies, so that it is the same from every folder that a run is gone on with in. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

/** An existing file or folder by its absolute path; a name is itself. */
export const placed = (path: string): string => (existsSync(path) ? resolve(path) : path)
