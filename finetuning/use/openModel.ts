/** Opens sessions of a trained model: its weights in a precision, on a device, under an objective. */
import type { Device } from '../../accelerated/engines/devices/device.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import type { Examples } from '../../accelerated/models/packing.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import { flatten } from '../../accelerated/parameters/vectors.js'
import { checkWeightsFit } from '../../accelerated/precisions/memoryCheck.js'
import { checkDevice, openFrozen, type Precision } from '../../accelerated/precisions/precision.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { layoutOf, type Assembly } from '../../accelerated/training/assembly.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { availablePositions } from '../../accelerated/training/runLength.js'

/** Names that editors complete; others are refused when the model is opened. */
export type DeviceName = NonNullable<SettingsInput['device']> | (string & {})
export type PrecisionName = NonNullable<SettingsInput['precision']> | (string & {})

type Threads = {
  /** CPU threads; 0: chosen by ONNX Runtime */
  readonly threads: number
}
export type MachineOptions = Threads & { readonly precision: PrecisionName }

/** A trained model under an objective, with everything that a session needs. @throws InputError or SettingsError if the precision does not support it */
export const openAssembly = async (
  { base, adapter, head }: TrainedModel,
  objective: Assembly['objective'],
  { precision, threads }: Threads & { readonly precision: Precision },
  device: Device,
) => {
  await checkDevice(precision, device)
  precision.check?.(new Set(adapter.tensors.keys()), base, adapter.method.name)
  checkWeightsFit(precision, base)
  const frozen = await openFrozen(precision, base)
  const { model, method, settings, phase } = adapter
  const assembly: Assembly = { model, frozen: frozen.tensor, method, settings, objective, precision }
  const numbersOf = (entry: string) => (adapter.tensors.get(entry) ?? head.get(entry))?.data
  const parameters = flatten(layoutOf(assembly, phase), (entry) => numbersOf(entry.name), precision.dtype)
  return { assembly, phase, parameters, runtime: { engine: device.engine({ threads }), weights: frozen.weights } }
}

/** Reports how many examples are done, after each batch. */
export type OnProgress = (done: number) => void

/**
 * A session that answers examples. Call `release` after the last one.
 * @param use scoring: the graph of a run's own evaluation, for the same bits. answering: the adapter is part of the graph, which is faster; in int8,
 * other last bits round other values
 * @throws as openAssembly
 */
export const openAnswers = async <E extends TrainingExample, O>(
  trained: TrainedModel,
  objective: Objective<E, O>,
  { batchSize, precision, threads }: MachineOptions & { readonly batchSize: number },
  device: Device,
  use: 'scoring' | 'answering' = 'answering',
) => {
  const { assembly, phase, parameters, runtime } = await openAssembly(
    trained,
    objective,
    { precision: precisionOf(precision), threads },
    device,
  )
  const predictor = await openPredictor(assembly, objective, phase, runtime, {}, use === 'answering' ? parameters : undefined)
  return {
    answers: (examples: Examples<E>, onProgress?: OnProgress) => predictor.predict(parameters, examples, batchSize, onProgress),
    release: predictor.release,
  }
}

const defaultMaxLength = 128

/** Tokens per example. @param maxLength null: 128, or the model's positions if they are fewer @throws InputError if the model has fewer positions */
export const resolveMaxLength = ({ base, adapter }: TrainedModel, maxLength: number | null): number => {
  const { left, description } = availablePositions(adapter.method, adapter.settings, base.model)
  const tokens = maxLength ?? Math.min(defaultMaxLength, left)
  if (tokens > left) throw inputError('--max-length', `at most ${description}`, String(tokens))
  return tokens
}
