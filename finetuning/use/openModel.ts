/**
 * The one way to open a trained model: its weights are read and checked, a device is chosen, and modelSessions.ts or generator.ts opens a session on both.
 * The folder use/ holds what reads a finished adapter: prediction, generation, scores, exports, serving. Training one is recipe.ts.
 */
import { checkFinite } from '../../accelerated/checkpoints/frozenWeights.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { frozenHead, openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { option } from '../../accelerated/errors/words.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { causalOutputs } from '../../accelerated/models/modelOutputs.js'
import { type PlacementReport, devicePlacement, placementLine, placementWarns } from '../run/devicePlacement.js'
import { checkModelFiles, type RunInputs } from '../run/runFingerprint.js'
import type { Text } from '../tasks/taskType.js'
import { findTaskType } from '../tasks/findTaskType.js'
import { type DeviceName, type MachineOptions, openPredictions, type OpenAdapter, type TrainedAdapter } from './modelSessions.js'
import { withLabelNames, adapterIn, completeHead, withCheckedHead } from './attachAdapter.js'
import { hasNamesAlone, zeroShot } from './zeroShot.js'

export type { OpenAdapter, Text, TrainedAdapter, TrainedModel }

export type TrainedModelOptions = {
  /** a folder in Hugging Face layout, or a hub id */
  readonly model: string
  /** the commit of a hub id; its main branch by default */
  readonly revision?: string | undefined
  /** An adapter's folder, in the layout of any method; null: the model has its own head. */
  readonly adapter: string | null
  /** the classes in the order of the outputs, if neither adapter nor model names them */
  readonly labelNames?: readonly string[] | undefined
  /** the run that trained the adapter: the model must still have the same files */
  readonly trainedBy?: { readonly run: string; readonly inputs: RunInputs } | undefined
}

export type TrainedAdapterOptions = TrainedModelOptions &
  MachineOptions & {
    /** auto: the first device that works */
    readonly device: DeviceName
    /** tokens per text, special ones included; longer texts are truncated. null: 128, or the model's positions if they are fewer */
    readonly maxLength: number | null
    readonly batchSize: number
    /** the date that a chat template writes. Default: today */
    readonly templateDate?: string | undefined
    /** On a GPU: called at the first prediction with how many float nodes ran on the CPU. Absent: nobody looks. */
    readonly onPlacement?: PlacementReport
  }

const defaults = { device: 'auto', precision: 'float32', threads: 0, maxLength: null, batchSize: 32 } as const

/** A model that is read, and the device that it is for. */
export type OpenedModel = { readonly trained: TrainedModel; readonly device: Device }

/**
 * @param writesText whether the model is to generate text @param deviceOf the device by its name
 * @throws InputError, SettingsError or DeviceError, each with a message of one line
 */
export const openModel = async (
  options: TrainedModelOptions & Pick<TrainedAdapterOptions, 'device' | 'onPlacement'> & Partial<TrainedAdapterOptions>,
  { writesText = false, deviceOf = chooseDevice as (name: string) => Promise<Device> } = {},
): Promise<OpenedModel> => {
  // the model first: a device takes seconds to open
  const read = writesText ? { trained: await loadTextModel(options) } : await loadOrNames(options)
  const chosen = await deviceOf(options.device)
  const device = options.onPlacement === undefined ? chosen : watchedDevice(chosen, options.onPlacement)
  return { trained: 'trained' in read ? read.trained : await zeroShot(read.base, read.names, { ...defaults, ...options }, device), device }
}

/** The trained model; or a sentence encoder, and the names by which alone it is to classify. @throws InputError */
const loadOrNames = async (
  options: TrainedModelOptions,
): Promise<{ readonly trained: TrainedModel } | { readonly base: ModelFolder; readonly names: readonly string[] }> => {
  const opened = await openModelAndAdapter(options)
  const { labelNames: names } = options
  if (names !== undefined && hasNamesAlone(opened.base, options)) return { base: opened.base, names }
  const trained = await withCheckedHead(opened, options.adapter)
  return { trained: names === undefined ? trained : withLabelNames(trained, names) }
}

/**
 * Opens a trained adapter on its model. `adapter` is a run's `adapter/`, or a folder that PEFT or the adapters library wrote. The other options
 * have the defaults of `salora predict`; `maxLength` should be that of the training. Call `release` after the last text.
 * @throws InputError, SettingsError or DeviceError, each with a message of one line
 */
export const openTrainedAdapter = async (
  input: Pick<TrainedAdapterOptions, 'model' | 'adapter'> & Partial<TrainedAdapterOptions>,
): Promise<OpenAdapter> => {
  const options: TrainedAdapterOptions = { ...defaults, ...input }
  const { trained, device } = await openModel(options)
  return openPredictions(trained, options, device)
}

/** @throws InputError if a file is missing or wrong, a weight is not finite, or the model has no head for the task */
export const loadTrainedModel = async (options: TrainedModelOptions): Promise<TrainedModel> => {
  const read = await loadOrNames(options)
  if ('trained' in read) return read.trained
  throw inputError(option('labels'), 'a model that was trained on these classes', 'a sentence encoder that was trained on none')
}

/**
 * The same for a model that generates text, even if its config.json describes a classifier.
 * @throws InputError also if the model is not a decoder, or the adapter is a classifier's
 */
export const loadTextModel = async (options: Omit<TrainedModelOptions, 'labelNames'>): Promise<TrainedModel> => {
  const { base, adapter } = await openModelAndAdapter(options)
  const { type, spec, causalHead } = base.model
  if (options.adapter !== null && adapter.outputs.head !== 'causal')
    throw inputError(
      options.adapter,
      'an adapter that writes text (task_type CAUSAL_LM)',
      `one of ${findTaskType(adapter.outputs, options.adapter).noun}`,
    )
  if (causalHead === undefined) throw inputError(base.folder, 'a decoder, which writes text', `a model of type ${type}, an ${spec.kind}`)
  const textAdapter = { ...adapter, outputs: causalOutputs }
  const frozen = [...frozenHead(base, causalOutputs)].map(([name, { shape }]) => [name, shape] as const)
  await checkFinite(base, frozen)
  return { base, adapter: textAdapter, head: await completeHead(base, textAdapter, options.adapter) }
}

/** Model and adapter, before their numbers are checked. @throws InputError */
const openModelAndAdapter = async (options: TrainedModelOptions): Promise<Pick<TrainedModel, 'base' | 'adapter'>> => {
  const resolved = await resolveModel(options.model, { revision: options.revision })
  const base = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
  if (options.trainedBy !== undefined) await checkModelFiles(base, options.trainedBy.inputs, options.trainedBy.run)
  return adapterIn(options.adapter, base)
}

// A device that reports, at the first answer of each graph, how many float nodes ONNX Runtime ran on the CPU instead. The CPU reports nothing.
/** @param report called once, and again if a later graph leaves other nodes */
export const watchedDevice = (device: Device, report: PlacementReport): Device => {
  const { onPlacement, news } = devicePlacement(device.name)
  const openEngine: Device['engine'] = (settings) =>
    device.engine({
      ...settings,
      onPlacement: (placement) => {
        onPlacement(placement)
        for (const event of news()) report(placementLine(event), placementWarns(event))
      },
    })
  return { ...device, engine: openEngine }
}
