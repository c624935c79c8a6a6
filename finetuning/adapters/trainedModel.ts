/** A trained model: base model, adapter and head, loaded and checked. It has no session yet. */
import { checkFinite } from '../../accelerated/checkpoints/finiteWeights.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { frozenHead, headTensor, openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { showShape } from '../../accelerated/graph/expression.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Adapter, Weights } from '../../accelerated/formats/adapter.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { withAdapterTokens } from '../../accelerated/formats/peft/tokenRows.js'
import type { Method } from '../../accelerated/methods/method.js'
import { causalOutputs, headOf } from '../../accelerated/models/modelOutputs.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import { methodOf, resolveSettings } from '../../accelerated/training/settings.js'
import { checkModelFiles, type RunInputs } from '../runs/runFingerprint.js'
import { taskTypeOf } from '../tasks/taskTypeOf.js'
import { withLabelNames } from './labelNames.js'

export type { TrainedModel }

export type TrainedModelOptions = {
  /** a folder in Hugging Face layout, or a hub id */
  readonly model: string
  /** the commit of a hub id; its main branch by default */
  readonly revision?: string
  /** An adapter's folder, in the layout of any method; null: the model has its own head. */
  readonly adapter: string | null
  /** the classes in the order of the outputs, if neither adapter nor model names them */
  readonly labelNames?: ReadonlyArray<string>
  /** the run that trained the adapter: the model must still have the same files */
  readonly trainedBy?: { readonly run: string; readonly inputs: RunInputs }
}

/** @throws InputError if a file is missing or wrong, a weight is not finite, or the model has no head for the task */
export const loadTrainedModel = async (options: TrainedModelOptions): Promise<TrainedModel> => {
  const { base, adapter } = await openModelAndAdapter(options)
  await checkFinite(base, headOf(base.model, base.outputs).tensors)
  const trained = { base, adapter, head: await completeHead(base, adapter, options.adapter) }
  return options.labelNames === undefined ? trained : withLabelNames(trained, options.labelNames)
}

/**
 * The same for a model that generates text, even if its config.json describes a classifier.
 * @throws InputError also if the model is not a decoder, or the adapter is a classifier's
 */
export const loadTextModel = async (options: Omit<TrainedModelOptions, 'labelNames'>): Promise<TrainedModel> => {
  const { base, adapter } = await openModelAndAdapter(options)
  const { type, spec, causalHead } = base.model
  if (causalHead === undefined) throw inputError(base.folder, 'a decoder, which writes text', `a model of type ${type}, an ${spec.kind}`)
  if (options.adapter !== null && adapter.outputs.head !== 'causal')
    throw inputError(
      options.adapter,
      'an adapter that writes text (task_type CAUSAL_LM)',
      `one of ${taskTypeOf(adapter.outputs, options.adapter).noun}`,
    )
  const textAdapter = { ...adapter, outputs: causalOutputs }
  const frozen = [...frozenHead(base, causalOutputs)].map(([name, { shape }]) => [name, shape] as const)
  await checkFinite(base, frozen)
  return { base, adapter: textAdapter, head: await completeHead(base, textAdapter, options.adapter) }
}

/** What messages call the model: `adapter`, or `model` if it has none. */
export const calledOf = ({ adapter }: Pick<TrainedModel, 'adapter'>): 'adapter' | 'model' =>
  adapter.method === headOnly ? 'model' : 'adapter'

/** Model and adapter, before their numbers are checked. @throws InputError */
const openModelAndAdapter = async (options: TrainedModelOptions): Promise<Pick<TrainedModel, 'base' | 'adapter'>> => {
  const resolved = await resolveModel(options.model, options.revision === undefined ? {} : { revision: options.revision })
  const base = await openModelFolder(resolved.folder, { baseModelName: resolved.baseModelName })
  if (options.trainedBy !== undefined) await checkModelFiles(base, options.trainedBy.inputs, options.trainedBy.run)
  const extended = options.adapter === null ? base : await withAdapterTokens(options.adapter, base, nodeFiles)
  const adapter = options.adapter === null ? noAdapter(base) : await readAdapter(options.adapter, extended)
  taskTypeOf(adapter.outputs, options.adapter ?? base.folder) // refuses a task type of another version
  return { base: extended, adapter }
}

/** The method of a model without adapter: it trains nothing but the head. */
const headOnly: Method = {
  ...methodOf('full'),
  train: { tensors: () => [], wrap: () => (host) => host },
  phases: { ...methodOf('full').phases, start: () => ({}) },
  export: { ...methodOf('full').export, merge: () => null },
}

const noAdapter = ({ model, baseModelName, outputs }: ModelFolder): Adapter => ({
  model,
  baseModelName,
  method: headOnly,
  settings: resolveSettings({ method: 'full' }),
  phase: {},
  tensors: new Map(),
  outputs,
  head: new Map(),
  labelNames: undefined,
})

/** The adapter's head; tensors that it lacks come from the model. @throws InputError if neither has one */
const completeHead = async (
  base: ModelFolder,
  { head: adapterHead, model, outputs, method }: Adapter,
  folder: string | null,
): Promise<ReadonlyMap<string, Weights>> => {
  const head = new Map<string, Weights>()
  for (const [name, shape] of headOf(model, outputs, method).tensors) {
    const [trained, entry] = [adapterHead.get(name), headTensor(base, name, shape)]
    if (trained !== undefined) head.set(name, trained)
    else if (entry !== undefined) head.set(name, { shape, data: await readTensor(entry) })
    else if (folder === null)
      throw inputError(
        base.folder,
        `a classification head (${name} ${showShape(shape)}), as no --adapter is given`,
        base.others.has(name) ? `one of shape ${showShape(base.others.get(name)?.shape ?? [])}` : 'none in the model',
      )
    else throw inputError(folder, `${name} ${showShape(shape)} of the head in the adapter or in ${base.folder}`, 'it in neither')
  }
  return head
}
