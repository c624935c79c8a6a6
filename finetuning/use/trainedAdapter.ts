/**
 * Opens a trained adapter with a head over sequences or tokens for prediction: model, tokenizer, adapter and head.
 * The folder use/ holds what reads a finished adapter: prediction, generation, scores, exports, serving. Training one is recipe.ts.
 */
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import { type PlacementReport, devicePlacement, placementLine, placementWarns } from '../run/devicePlacement.js'
import type { DeviceName, MachineOptions } from './openModel.js'
import type { Text } from '../tasks/taskType.js'
import { openPredictions, type OpenAdapter, type TrainedAdapter } from './openPredictions.js'
import { loadTrainedModel, type TrainedModelOptions } from './trainedModel.js'
import type { Device } from '../../accelerated/engines/devices/device.js'

export type { OpenAdapter, Text, TrainedAdapter }

export type TrainedAdapterOptions = TrainedModelOptions &
  MachineOptions & {
    /** auto: the first device that works */
    readonly device: DeviceName
    /** tokens per text, special ones included; longer texts are truncated. null: 128, or the model's positions if they are fewer */
    readonly maxLength: number | null
    readonly batchSize: number
    /** On a GPU: called at the first prediction with how many float nodes ran on the CPU. Absent: nobody looks. */
    readonly onPlacement?: PlacementReport
  }

const defaults = { device: 'auto', precision: 'float32', threads: 0, maxLength: null, batchSize: 32 } as const

/**
 * Opens a trained adapter on its model. `adapter` is a run's `adapter/`, or a folder that PEFT or the adapters library wrote. The other options
 * have the defaults of `salora predict`; `maxLength` should be that of the training. Call `release` after the last text.
 * @throws InputError, SettingsError or DeviceError, each with a message of one line
 */
export const openTrainedAdapter = async (
  input: Pick<TrainedAdapterOptions, 'model' | 'adapter'> & Partial<TrainedAdapterOptions>,
): Promise<OpenAdapter> => {
  const options: TrainedAdapterOptions = { ...defaults, ...input }
  const trained = await loadTrainedModel(options) // before the device: opening one takes seconds, and a wrong folder is refused at once
  const device = await chooseDevice(options.device)
  const watched = options.onPlacement === undefined ? device : watchedDevice(device, options.onPlacement)
  return openPredictions(trained, options, watched)
}

// A device that reports, at the first answer of each graph, how many float nodes ONNX Runtime ran on the CPU instead. The CPU reports nothing.
/** @param report called once, and again if a later graph leaves other nodes */
export const watchedDevice = (device: Device, report: PlacementReport): Device => {
  const { onPlacement, news } = devicePlacement(device.name, false)
  const engineOf: Device['engine'] = (settings) =>
    device.engine({
      ...settings,
      onPlacement: (placement) => {
        onPlacement(placement)
        for (const event of news()) report(placementLine(event), placementWarns(event))
      },
    })
  return { ...device, engine: engineOf }
}
