/** The model of a sweep or of a search: downloaded once, and opened without reading its weights. */
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'

/** @param model a folder in Hugging Face layout, or a hub id @throws InputError */
export const openSweepModel = async (model: string): Promise<ModelFolder> =>
  openModelFolder((await resolveModel(model)).folder, { memory: Infinity })
