/** The model of a sweep: downloaded once, and read without its weights. */
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Model } from '../../accelerated/models/architecture.js'

/** @param model a folder in Hugging Face layout, or a hub id @throws InputError */
export const openSweepModel = async (model: string): Promise<Model> =>
  (await openModelFolder((await resolveModel(model)).folder, { memory: Infinity })).model
