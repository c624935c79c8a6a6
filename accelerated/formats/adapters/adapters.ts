/** Bottleneck adapters in the format of the adapters library and AdapterHub. `load_adapter(folder, use_safetensors=True)` opens ours, and we open its own. */
import { startPhase } from '../../methods/startPhase.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { readSafetensors } from '../../checkpoints/safetensors/safetensors.js'
import { writeSafetensors } from '../../checkpoints/safetensors/writeSafetensors.js'
import { inputError } from '../../errors/inputError.js'
import type { Model } from '../../models/architecture.js'
import { parseJson } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { fileInFolder, requiredFile, joinPath } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import { findMethod, resolveSettings } from '../../training/resolveSettings.js'
import type { Adapter, AdapterFormat, Weights } from '../adapter.js'
import { headShapesIn, outputsIn, checkKeys, readAll } from '../adapterTensors.js'
import { adapterConfigLimit, namesFile, namesText, readNames } from '../saloraJson.js'
import { adapterConfigText, isLibraryConfig, readAdapterConfig, libraryText, ofModel } from './adapterConfig.js'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { labelName } from '../../checkpoints/labelNames.js'
import { nameOutputs } from '../modelConfig.js'

/** Each file of tensors, and the pickle that the library writes unless it is asked for safetensors. */
const files = {
  config: 'adapter_config.json',
  adapter: ['adapter.safetensors', 'pytorch_adapter.bin'],
  headConfig: 'head_config.json',
  head: ['model_head.safetensors', 'pytorch_model_head.bin'],
} as const

/** The name of the adapters that we write. The library lets its users choose another when they load one. */
const saloraAdapterName = 'salora'

export const adapters: AdapterFormat = {
  title: "the adapters library's layout",
  library: 'adapter-transformers',
  write: async (folder, adapter, _, storage) => {
    const { model, method, settings, tensors, head, outputs, labelNames } = adapter
    if (settings.reductionFactor === undefined) throw new Error('adapters: expected settings with a reductionFactor, got none')
    const write = (name: string, content: string | Uint8Array): Promise<void> => storage.write(joinPath(folder, name), content)
    await write(files.adapter[0], writeSafetensors(renamed(tensors, (name) => adapterKey(model, saloraAdapterName, name))))
    if (head.size > 0) {
      await write(files.head[0], writeSafetensors(renamed(head, model.naming.stored)))
      await write(files.headConfig, headConfigText(adapter))
    }
    await write(namesFile, namesText(model, outputs, labelNames))
    await write(files.config, adapterConfigText(method.name, settings.reductionFactor, saloraAdapterName, adapter))
  },
  read: async (folder, base, storage) => {
    const file = await fileInFolder(folder, files.config, storage)
    if (file === undefined) return null
    const json = parseJson(await readText(file, adapterConfigLimit, storage), file)
    return isLibraryConfig(json) ? readAdapter(folder, json, file, base, storage) : null
  },
}

const renamed = (tensors: ReadonlyMap<string, Weights>, toKey: (name: string) => string): ReadonlyMap<string, Weights> =>
  new Map([...tensors].map(([name, weights]) => [toKey(name), weights]))

/** `encoder.layer.0.output.adapter.down.weight` → `bert.encoder.layer.0.output.adapters.NAME.adapter_down.0.weight`; `up` has no index. */
const adapterKey = ({ naming: { prefix, adaptersAt = (sublayer) => sublayer } }: Model, adapterName: string, name: string): string =>
  prefix +
  name.replace(
    /^(.*)\.adapter\.(down|up)\./,
    (_, sublayer: string, side) => `${adaptersAt(sublayer)}.adapters.${adapterName}.adapter_${side === 'down' ? 'down.0' : 'up'}.`,
  )

const readAdapter = async (folder: string, json: unknown, configFile: string, base: ModelFolder, storage: Storage): Promise<Adapter> => {
  const { model } = base
  const { method: name, reductionFactor, adapterName, baseModelName } = readAdapterConfig(json, configFile, base)
  const method = findMethod(name)
  // The library gives every adapter at least one neuron, however large the factor.
  const settings = { ...resolveSettings({ method: name }), reductionFactor: Math.min(reductionFactor, model.spec.hiddenSize) }
  const phase = startPhase(method, model.spec, settings)
  const toKey = (tensor: string): string => adapterKey(model, adapterName, tensor)
  const shapes = new Map(method.train.tensors(phase, settings).map((tensor) => [tensor.name, tensor.shape]))
  const weightsFile = await weightsIn(folder, files.adapter, storage)
  if (weightsFile === undefined) throw inputError(folder, files.adapter[0], 'none')
  const { tensors } = await readSafetensors(weightsFile, storage)
  checkKeys(tensors, new Map([...shapes].map(([tensor, shape]) => [toKey(tensor), shape])), weightsFile, files.config)
  return {
    model,
    baseModelName: baseModelName ?? '',
    method,
    settings,
    phase,
    tensors: await readAll(tensors, shapes.keys(), toKey),
    ...(await readHead(folder, base, storage)),
  }
}

/** The head beside an adapter, if there is one. salora.json has the task type and the class names, else the library's files. */
const readHead = async (
  folder: string,
  { model, outputs: given }: ModelFolder,
  storage: Storage,
): Promise<Pick<Adapter, 'head' | 'outputs' | 'labelNames'>> => {
  const names = await readNames(folder, storage)
  const file = await weightsIn(folder, files.head, storage)
  if (file === undefined)
    return {
      head: new Map(),
      outputs: outputsIn(new Map(), (name) => name, model, given, { names, task: null }, folder),
      labelNames: names?.labelNames ?? undefined,
    }
  const configFile = await requiredFile(folder, files.headConfig, storage)
  const json = parseJson(await readText(configFile, adapterConfigLimit, storage), configFile)
  const { toKey, labelNames } = readHeadConfig(json, configFile, model)
  const { tensors } = await readSafetensors(file, storage)
  const outputs = outputsIn(tensors, toKey, model, given, { names, task: null }, folder)
  const shapes = headShapesIn(tensors, toKey, model, outputs, ['classifier'])
  checkKeys(tensors, new Map([...shapes].map(([name, shape]) => [toKey(name), shape])), file, files.headConfig)
  return {
    head: await readAll(tensors, shapes.keys(), toKey),
    outputs,
    labelNames: names?.labelNames ?? (labelNames?.length === outputs.labels ? labelNames : undefined),
  }
}

/** @throws InputError if the tensors exist only as a pickle */
const weightsIn = async (folder: string, [name, pickle]: readonly [string, string], storage: Storage): Promise<string | undefined> => {
  const file = await fileInFolder(folder, name, storage)
  if (file === undefined && (await fileInFolder(folder, pickle, storage)) !== undefined)
    throw inputError(folder, name, `only ${pickle} (pickles are not read: save_adapter(folder, name, use_safetensors=True) writes none)`)
  return file
}

// head_config.json of the adapters library, and the tensor names that follow from it: a classifier of transformers, or the library's own flexible head.
/** For a head of the model's own class. */
const headConfigText = (adapter: Adapter): string => {
  const labels = nameOutputs(adapter.outputs, adapter.labelNames)
  return libraryText({
    ...ofModel(adapter),
    config: null,
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
    name: null,
    num_labels: labels.length,
  })
}

const label2id = z.record(labelName, z.int().min(0)).nullish()
const flexible = z.object({
  head_type: z.literal('classification'),
  layers: z.int(),
  use_pooler: z.boolean(),
  activation_function: z.string().max(100).nullable(),
  bias: z.literal(true).optional(),
  label2id,
})
const fileSchema = z.object({ config: flexible.nullable(), name: z.string().max(1_000).nullable(), label2id })

type HeadConfig = {
  readonly toKey: (name: string) => string
  /** class names, unless they are only numbers */
  readonly labelNames: readonly string[] | undefined
}

/** @throws InputError if the head does not fit the model */
const readHeadConfig = (json: unknown, where: string, model: Model): HeadConfig => {
  const { config, name, label2id: ids } = validate(fileSchema, json, where, 'a head as the adapters library saves it')
  return {
    toKey: config === null ? model.naming.stored : flexibleKeys(config, name ?? '', where, model),
    labelNames: readLabelNames(config?.label2id ?? ids),
  }
}

/**
 * A flexible head's layers are dropout, linear, activation, dropout, linear: 1 and 4 are our two linear maps. A head of one layer on the
 * encoder's pooler has only our last map.
 */
const flexibleKeys = (
  { layers, use_pooler: onPooler, activation_function: activationFunction }: z.infer<typeof flexible>,
  head: string,
  where: string,
  { naming, sequenceHead }: Model,
): ((name: string) => string) => {
  const { tensors, activation = 'no activation' } = sequenceHead(2)
  const [first, last] = [...tensors.keys()].filter((name) => name.endsWith('.weight')).map((name) => name.replace(/weight$/, ''))
  const hasPooler = naming.stored(first ?? '').startsWith(naming.prefix)
  const places: readonly (readonly [string | undefined, number])[] =
    layers === 2 && !onPooler && activationFunction === activation
      ? [
          [first, 1],
          [last, 4],
        ]
      : layers === 1 && onPooler && hasPooler
        ? [[last, 1]]
        : []
  if (places.length === 0)
    throw inputError(
      where,
      `a head of two layers, ${activation} and no pooler${hasPooler ? ', or of one layer on the pooler' : ''}`,
      `layers ${layers}, activation_function ${activationFunction}, use_pooler ${onPooler}`,
    )
  return (name) => {
    const place = places.find(([part]) => part !== undefined && name.startsWith(part))
    return place === undefined ? naming.stored(name) : `heads.${head}.${place[1]}.${name.slice(place[0]?.length)}`
  }
}

/** undefined if an output has none, or if they are the default names of transformers. */
const readLabelNames = (ids: Readonly<Record<string, number>> | null | undefined): readonly string[] | undefined => {
  const inOrder = Object.entries(ids ?? {}).sort(([, a], [, b]) => a - b)
  const named = inOrder.every(([, id], i) => id === i) && inOrder.some(([name], i) => name !== `LABEL_${i}`)
  return named ? inOrder.map(([name]) => name) : undefined
}
