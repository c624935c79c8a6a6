/** Absolute paths of models, data files and folders, so that a run can be resumed from any working folder. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { embeddedModel, embeddedName } from '../../accelerated/checkpoints/hub/hub.js'

/** The absolute path of an existing file or folder; a name that is no path, such as a hub id, is returned unchanged. */
export const absolutePath = (path: string): string => (existsSync(path) ? resolve(path) : path)

/** The same for a model: `embedded`, also by its folder in this installation, stays the name that every installation resolves. */
export const absoluteModel = (model: string): string =>
  model === embeddedName || resolve(model) === embeddedModel ? embeddedName : absolutePath(model)
