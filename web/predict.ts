/** Predictions of a run in a browser, by the adapter that it saved. */
import { openModelFolder } from '../accelerated/checkpoints/modelFolder.js'
import { joinPath } from '../accelerated/storage/paths.js'
import { inputError } from '../accelerated/errors/inputError.js'
import { adapterIn, withCheckedHead } from '../finetuning/adapters/modelWithAdapter.js'
import type { Text } from '../finetuning/adapters/openModel.js'
import { openPredictions } from '../finetuning/adapters/openPredictions.js'
import { readRunConfig } from '../finetuning/runs/runFiles.js'
import type { Place } from './finetune.js'

export type Predictor = {
  /** What `salora predict` prints, one object per text. @throws InputError */
  readonly predictions: (texts: ReadonlyArray<Text>) => Promise<ReadonlyArray<object>>
  readonly release: () => Promise<void>
}

/** Opens the adapter of the run in `output`, on the model at the path that the run names. @throws InputError */
export const predictor = async (
  output: string,
  { storage, device, baseModelName }: Pick<Place, 'storage' | 'device' | 'baseModelName'>,
): Promise<Predictor> => {
  const config = await readRunConfig(output, storage)
  if (config === null) throw inputError(output, 'the folder of a run', 'one without config.json')
  const { model, settings } = config
  const base = await openModelFolder(model, { storage, ...(baseModelName === undefined ? {} : { baseModelName }) })
  const folder = joinPath(output, 'adapter')
  const trained = await withCheckedHead(await adapterIn(folder, base), folder)
  const machine = { precision: settings.precision, threads: settings.threads, batchSize: 8, maxLength: settings.maxLength }
  return openPredictions(trained, machine, device)
}
