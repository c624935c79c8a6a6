/** The adapter and the head of an open base model, from whatever storage holds them. */
import { checkFinite } from '../../accelerated/checkpoints/frozenWeights.js'
import { headTensor, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import { inputError, oneLine } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import type { Adapter, Weights } from '../../accelerated/formats/adapter.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { baseOfAdapter } from '../../accelerated/formats/peft/wholeModules.js'
import { showShape } from '../../accelerated/graph/expression.js'
import type { Method } from '../../accelerated/methods/method.js'
import { selectHead } from '../../accelerated/models/modelOutputs.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { findTaskType } from '../tasks/findTaskType.js'
import { checkLabelNames } from '../../accelerated/checkpoints/labelNames.js'

/** Model and adapter with a whole head. @param folder of the adapter; null: the model has its own head. @throws InputError */
export const withCheckedHead = async (
  { base, adapter }: Pick<TrainedModel, 'base' | 'adapter'>,
  folder: string | null,
): Promise<TrainedModel> => {
  await checkFinite(base, selectHead(base.model, base.outputs).tensors)
  return { base, adapter, head: await completeHead(base, adapter, folder) }
}

/** The adapter of a folder in the storage of the base model, which gets its tokens and its whole modules; null: none. @throws InputError */
export const adapterIn = async (folder: string | null, base: ModelFolder): Promise<Pick<TrainedModel, 'base' | 'adapter'>> => {
  const extended = folder === null ? base : await baseOfAdapter(folder, base, base.storage)
  const adapter = folder === null ? noAdapter(base) : await readAdapter(folder, extended, base.storage)
  findTaskType(adapter.outputs, folder ?? base.folder) // refuses a task type of another version
  return { base: extended, adapter }
}

/** What messages call the model: `adapter`, or `model` if it has none. */
export const adapterNoun = ({ adapter }: Pick<TrainedModel, 'adapter'>): 'adapter' | 'model' =>
  adapter.method === headOnly ? 'model' : 'adapter'

/** The method of a model without adapter: it trains nothing but the head. */
const headOnly: Method = {
  ...findMethod('full'),
  train: { tensors: () => [], wrap: () => (host) => host },
  phases: { ...findMethod('full').phases, start: () => ({}) },
  export: { ...findMethod('full').export, merge: () => null },
}

export const noAdapter = ({ model, baseModelName, outputs }: ModelFolder): Adapter => ({
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
export const completeHead = async (
  base: ModelFolder,
  { head: adapterHead, model, outputs, method }: Adapter,
  folder: string | null,
): Promise<ReadonlyMap<string, Weights>> => {
  const head = new Map<string, Weights>()
  for (const [name, shape] of selectHead(model, outputs, method).tensors) {
    const [trained, entry] = [adapterHead.get(name), headTensor(base, name, shape)]
    if (trained !== undefined) head.set(name, trained)
    else if (entry !== undefined) head.set(name, { shape, data: await readTensor(entry) })
    else if (folder === null)
      throw inputError(
        base.folder,
        words`a classification head (${name} ${showShape(shape)}), as no ${option('adapter')} is given${base.averages ? words` (${option('labels')} classifies by the names of classes)` : ''}`,
        base.others.has(name) ? `one of shape ${showShape(base.others.get(name)?.shape ?? [])}` : 'none in the model',
      )
    else throw inputError(folder, `${name} ${showShape(shape)} of the head in the adapter or in ${base.folder}`, 'it in neither')
  }
  return head
}

// The names of a trained model's classes.
/** The classes' names in the adapter or the model. transformers' placeholders (LABEL_0, …) do not count: undefined. */
export const resolveLabels = ({ base, adapter }: TrainedModel): readonly string[] | undefined => {
  const names = adapter.labelNames ?? (base.labelNames?.length === adapter.outputs.labels ? base.labelNames : undefined)
  return names?.every((name, i) => name === `LABEL_${i}`) ? undefined : names
}

/** The trained model with names from the user. @throws InputError if it has other names, or another number of outputs */
export const withLabelNames = (trained: TrainedModel, names: readonly string[]): TrainedModel => {
  const [stored, { outputs }] = [resolveLabels(trained), trained.adapter]
  const got = oneLine(names.join(','))
  if (stored !== undefined && stored.join('\n') !== names.join('\n'))
    throw inputError(option('labels'), `none, as adapter or model name the classes (${oneLine(stored.slice(0, 12).join(','))})`, got)
  const { labelNames: refusal } = findTaskType(outputs, trained.base.folder).refuses
  if (refusal !== undefined) throw inputError(option('labels'), refusal, got)
  if (names.length !== outputs.labels || new Set(names).size !== names.length)
    throw inputError(option('labels'), `${outputs.labels} names, as the adapter has outputs, each once`, got)
  checkLabelNames(names, option('labels'))
  return { ...trained, adapter: { ...trained.adapter, labelNames: names } }
}
