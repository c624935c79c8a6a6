/** A trained model: base model, adapter and head, loaded and checked. It has no session yet. */
import { checkFinite } from '../../accelerated/checkpoints/frozenWeights.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { frozenHead, openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { causalOutputs } from '../../accelerated/models/modelOutputs.js'
import { checkModelFiles, type RunInputs } from '../run/runFingerprint.js'
import { taskTypeOf } from '../tasks/taskTypeOf.js'
import { withLabelNames, adapterIn, completeHead, withCheckedHead } from './modelWithAdapter.js'

export type { TrainedModel }

export type TrainedModelOptions = {
  /** a folder in Hugging Face layout, or a hub id */
  readonly model: string
  /** the commit of a hub id; its main branch by default */
  readonly revision?: string
  /** An adapter's folder, in the layout of any method; null: the model has its own head. */
  readonly adapter: string | null
  /** the classes in the order of the outputs, if neither adapter nor model names them */
  readonly labelNames?: readonly string[]
  /** the run that trained the adapter: the model must still have the same files */
  readonly trainedBy?: { readonly run: string; readonly inputs: RunInputs }
}

/** @throws InputError if a file is missing or wrong, a weight is not finite, or the model has no head for the task */
export const loadTrainedModel = async (options: TrainedModelOptions): Promise<TrainedModel> => {
  const trained = await withCheckedHead(await openModelAndAdapter(options), options.adapter)
  return options.labelNames === undefined ? trained : withLabelNames(trained, options.labelNames)
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
      `one of ${taskTypeOf(adapter.outputs, options.adapter).noun}`,
    )
  if (causalHead === undefined) throw inputError(base.folder, 'a decoder, which writes text', `a model of type ${type}, an ${spec.kind}`)
  const textAdapter = { ...adapter, outputs: causalOutputs }
  const frozen = [...frozenHead(base, causalOutputs)].map(([name, { shape }]) => [name, shape] as const)
  await checkFinite(base, frozen)
  return { base, adapter: textAdapter, head: await completeHead(base, textAdapter, options.adapter) }
}

/** Model and adapter, before their numbers are checked. @throws InputError */
const openModelAndAdapter = async (options: TrainedModelOptions): Promise<Pick<TrainedModel, 'base' | 'adapter'>> => {
  const resolved = await resolveModel(options.model, options.revision === undefined ? {} : { revision: options.revision })
  const base = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
  if (options.trainedBy !== undefined) await checkModelFiles(base, options.trainedBy.inputs, options.trainedBy.run)
  return adapterIn(options.adapter, base)
}
