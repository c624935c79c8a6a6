/** Compares the length of texts with the model's positions before the data is read, which may take minutes. */
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { InputError } from '../../accelerated/errors/inputError.js'
import { checkPositions } from '../../accelerated/training/runLength.js'
import { methodOf } from '../../accelerated/training/settings.js'
import type { RunOptions } from './run.js'

/** A model that is not on this disk is checked after its download. @throws SettingsError; InputError for a model that cannot be read */
export const checkLength = async ({ model, settings }: Pick<RunOptions, 'model' | 'settings'>): Promise<void> => {
  const found = await resolveModel(model, { environment: { ...process.env, HF_HUB_OFFLINE: '1' } }).catch((thrown: unknown) => {
    if (thrown instanceof InputError) return null // opening it says what is wrong
    throw thrown
  })
  if (found === null) return
  const opened = await openModelFolder(found.folder, { memory: Infinity })
  checkPositions(methodOf(settings.method), settings, opened.model)
}
