/** What a run in a browser leaves: predictions by the adapter that it saved, and its export for transformers.js. */
import { openModelFolder } from '../accelerated/checkpoints/modelFolder.js'
import { inputError, shown } from '../accelerated/errors/inputError.js'
import { exportOnnx } from '../accelerated/formats/exportOnnx.js'
import type { TrainedModel } from '../accelerated/formats/mergedWeights.js'
import type { OnnxPrecision } from '../accelerated/formats/onnxWeights.js'
import { joinPath } from '../accelerated/storage/paths.js'
import type { Storage } from '../accelerated/storage/storage.js'
import { resolveLabels } from '../finetuning/adapters/labelNames.js'
import { adapterIn, withCheckedHead } from '../finetuning/adapters/modelWithAdapter.js'
import type { Text } from '../finetuning/tasks/taskType.js'
import { openPredictions } from '../finetuning/adapters/openPredictions.js'
import { resultInProgram } from '../finetuning/runs/errorsInProgram.js'
import { readRunConfig } from '../finetuning/runs/runFiles.js'
import type { RunConfig } from '../finetuning/runs/run.js'
import { checkPlace, type Place } from './finetune.js'

export type Predictor = {
  /** What `salora predict` prints, one object per text. @throws InputError */
  readonly predictions: (texts: ReadonlyArray<Text>) => Promise<ReadonlyArray<object>>
  readonly release: () => Promise<void>
}

type Files = Pick<Place, 'storage' | 'baseModelName'>

/** The adapter of the run in `output`, on the model at the path that the run names. @throws InputError */
const trainedIn = async (
  output: string,
  { storage, baseModelName }: Files,
): Promise<{ readonly trained: TrainedModel; readonly settings: RunConfig['settings'] }> => {
  const config = await readRunConfig(output, storage)
  if (config === null) throw inputError(output, 'the folder of a run', 'one without config.json')
  const base = await openModelFolder(config.model, { storage, ...(baseModelName === undefined ? {} : { baseModelName }) })
  const folder = joinPath(output, 'adapter')
  return { trained: await withCheckedHead(await adapterIn(folder, base), folder), settings: config.settings }
}

/** For callers without types. @throws InputError */
const checkRun = (caller: string, output: unknown): void => {
  if (typeof output !== 'string' || output === '') throw inputError(caller, 'the folder of a run in the storage', shown(output))
}

/** Opens the adapter of a run for predictions. @throws InputError */
export const predictor = (output: string, place: Files & Pick<Place, 'device'>): Promise<Predictor> =>
  resultInProgram(openPredictor(output, place), [])

const openPredictor = async (output: string, place: Files & Pick<Place, 'device'>): Promise<Predictor> => {
  checkRun('predictor', output)
  checkPlace('predictor', place)
  const { trained, settings } = await trainedIn(output, place)
  const machine = { precision: settings.precision, threads: settings.threads, batchSize: 8, maxLength: settings.maxLength }
  return openPredictions(trained, machine, place.device)
}

/**
 * Writes the run's model with its adapter merged, as transformers.js opens it, into an empty folder of a storage. The export of Node also compares
 * it with the original. @throws InputError
 */
export const exportForTransformersJs = (
  output: string,
  place: Files,
  to: Destination,
  precision: OnnxPrecision = 'float32',
): Promise<void> => resultInProgram(writeExport(output, place, to, precision), [])

type Destination = { readonly storage: Storage; readonly folder: string }

const writeExport = async (output: string, place: Files, to: Destination, precision: OnnxPrecision): Promise<void> => {
  checkRun('exportForTransformersJs', output)
  checkPlace('exportForTransformersJs', place, ['storage'])
  const { trained, settings } = await trainedIn(output, place)
  await exportOnnx(to.folder, trained, resolveLabels(trained), { precision, maxLength: settings.maxLength, storage: to.storage })
}
