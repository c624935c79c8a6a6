/** Opens the model of a sweep or a search, and refuses one before its first run where every run would fail or an earlier run would be hidden. */
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { checkPositions } from '../../accelerated/training/runLength.js'
import { methodOf, type Settings } from '../../accelerated/training/settings.js'
import { readRunConfig } from '../../finetuning/run/runFiles.js'

/** Downloads the model once, and opens it without its weights. @param model a folder in Hugging Face layout, or a hub id @throws InputError */
export const openSweepModel = async (model: string): Promise<ModelFolder> =>
  openModelFolder((await resolveModel(model)).folder, { memory: Infinity })

/** Reports and the board show the cells of a folder that has some, and not a run in it. @throws InputError if the folder has a run */
export const refuseRunFolder = async (output: string): Promise<void> => {
  if ((await readRunConfig(output)) !== null)
    throw inputError(`--output ${output}`, 'a new folder, or one of an earlier call', 'config.json of a run')
}

/** @throws SettingsError for the first run whose texts would exceed the model's positions */
export const checkLengths = (model: Model, runs: readonly Settings[]): void => {
  for (const settings of runs) checkPositions(methodOf(settings.method), settings, model)
}
