/** Bottleneck adapters in the layout of the adapters library and of AdapterHub: load_adapter(folder, use_safetensors=True) opens ours, and we open its. */
import { startPhase } from '../../methods/startPhase.js'
import { join } from 'node:path'
import { writeFileAtomically } from '../../storage/atomicFile.js'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { inputError } from '../../errors/inputError.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { readSafetensors } from '../../checkpoints/safetensors/safetensors.js'
import { fileInFolder } from '../../storage/fileInFolder.js'
import { writeSafetensors } from '../../checkpoints/safetensors/writeSafetensors.js'
import type { Model } from '../../models/architecture.js'
import { methodOf, resolveSettings } from '../../training/settings.js'
import type { Adapter, AdapterFormat, Weights } from '../adapter.js'
import {
  adapterConfigLimit,
  checkKeys,
  fileOf,
  headShapesIn,
  namesFile,
  namesText,
  outputsIn,
  readAll,
  readNames,
} from '../adapterTensors.js'
import { adapterConfigText, isLibraryConfig, readAdapterConfig } from './adapterConfig.js'
import { headConfigText, readHeadConfig } from './headConfig.js'

/** Each file of tensors with the pickle that the library writes unless it is asked for safetensors. */
const files = {
  config: 'adapter_config.json',
  adapter: ['adapter.safetensors', 'pytorch_adapter.bin'],
  headConfig: 'head_config.json',
  head: ['model_head.safetensors', 'pytorch_model_head.bin'],
} as const

/** The name of the adapters that are written; the library lets whoever loads one choose another. */
const written = 'salora'

export const adapters: AdapterFormat = {
  title: "the adapters library's layout",
  library: 'adapter-transformers',
  write: async (folder, adapter) => {
    const { model, method, settings, tensors, head, outputs, labelNames } = adapter
    if (settings.reductionFactor === undefined) throw new Error('adapters: expected settings with a reductionFactor, got none')
    const write = (name: string, content: string | Uint8Array): Promise<void> => writeFileAtomically(join(folder, name), content)
    await write(files.adapter[0], writeSafetensors(renamed(tensors, (name) => adapterKey(model, written, name))))
    if (head.size > 0) {
      await write(files.head[0], writeSafetensors(renamed(head, model.naming.stored)))
      await write(files.headConfig, headConfigText(adapter))
    }
    await write(namesFile, namesText(outputs, labelNames))
    await write(files.config, adapterConfigText(method.name, settings.reductionFactor, written, adapter))
  },
  read: async (folder, base) => {
    const file = await fileInFolder(folder, files.config)
    if (file === undefined) return null
    const json = parseJson(await readText(file, adapterConfigLimit), file)
    return isLibraryConfig(json) ? readAdapter(folder, json, file, base) : null
  },
}

const renamed = (tensors: ReadonlyMap<string, Weights>, keyOf: (name: string) => string): ReadonlyMap<string, Weights> =>
  new Map([...tensors].map(([name, weights]) => [keyOf(name), weights]))

/** `encoder.layer.0.output.adapter.down.weight` → `bert.encoder.layer.0.output.adapters.NAME.adapter_down.0.weight`; `up` is no list. */
const adapterKey = ({ naming: { prefix, adaptersAt = (sublayer) => sublayer } }: Model, adapterName: string, name: string): string =>
  prefix +
  name.replace(
    /^(.*)\.adapter\.(down|up)\./,
    (_, sublayer: string, side) => `${adaptersAt(sublayer)}.adapters.${adapterName}.adapter_${side === 'down' ? 'down.0' : 'up'}.`,
  )

const readAdapter = async (folder: string, json: unknown, configFile: string, base: ModelFolder): Promise<Adapter> => {
  const { model } = base
  const { method: name, reductionFactor, adapterName, baseModelName } = readAdapterConfig(json, configFile, base)
  const method = methodOf(name)
  // the library leaves every adapter a neuron, however large the factor
  const settings = { ...resolveSettings({ method: name }), reductionFactor: Math.min(reductionFactor, model.spec.hiddenSize) }
  const phase = startPhase(method, model.spec, settings)
  const keyOf = (tensor: string): string => adapterKey(model, adapterName, tensor)
  const shapes = new Map(method.train.tensors(phase, settings).map((tensor) => [tensor.name, tensor.shape]))
  const weightsFile = await weightsIn(folder, files.adapter)
  if (weightsFile === undefined) throw inputError(folder, files.adapter[0], 'none')
  const { tensors } = await readSafetensors(weightsFile)
  checkKeys(tensors, new Map([...shapes].map(([tensor, shape]) => [keyOf(tensor), shape])), weightsFile, files.config)
  return {
    model,
    baseModelName: baseModelName ?? '',
    method,
    settings,
    phase,
    tensors: await readAll(tensors, shapes.keys(), keyOf),
    ...(await readHead(folder, base)),
  }
}

/** The head beside an adapter, where there is one; the problem and the names of the classes as salora.json has them, else as the library. */
const readHead = async (
  folder: string,
  { model, outputs: given }: ModelFolder,
): Promise<Pick<Adapter, 'head' | 'outputs' | 'labelNames'>> => {
  const names = await readNames(folder)
  const file = await weightsIn(folder, files.head)
  if (file === undefined)
    return {
      head: new Map(),
      outputs: outputsIn(new Map(), (name) => name, model, given, { names, task: null }, folder),
      labelNames: names?.labelNames ?? undefined,
    }
  const configFile = await fileOf(folder, files.headConfig)
  const { keyOf, labelNames } = readHeadConfig(parseJson(await readText(configFile, adapterConfigLimit), configFile), configFile, model)
  const { tensors } = await readSafetensors(file)
  const outputs = outputsIn(tensors, keyOf, model, given, { names, task: null }, folder)
  const shapes = headShapesIn(tensors, keyOf, model, outputs, ['classifier'])
  checkKeys(tensors, new Map([...shapes].map(([name, shape]) => [keyOf(name), shape])), file, files.headConfig)
  return {
    head: await readAll(tensors, shapes.keys(), keyOf),
    outputs,
    labelNames: names?.labelNames ?? (labelNames?.length === outputs.labels ? labelNames : undefined),
  }
}

/** @throws Mistake where the tensors are there as a pickle alone */
const weightsIn = async (folder: string, [name, pickle]: readonly [string, string]): Promise<string | undefined> => {
  const file = await fileInFolder(folder, name)
  if (file === undefined && (await fileInFolder(folder, pickle)) !== undefined)
    throw inputError(folder, name, `only ${pickle} (pickles are not read: save_adapter(folder, name, use_safetensors=True) writes none)`)
  return file
}
