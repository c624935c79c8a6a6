/** A folder of PEFT's: its configuration, its tensors by key, and the head among them. Every tensor of the file is accounted for. */
import { readSafetensors, type TensorEntry } from '../../checkpoints/safetensors/safetensors.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import type { TensorShape, Model } from '../../models/architecture.js'
import { sentenceEncoder } from '../../models/layers/classifierHead.js'
import type { ModelOutputs } from '../../models/modelOutputs.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { readText } from '../../storage/text.js'
import { fileInFolder, requiredFile } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import type { Weights } from '../adapter.js'
import { headShapesIn, outputsIn, checkKeys, readAll } from '../adapterTensors.js'
import { adapterConfigLimit, readNames } from '../saloraJson.js'
import { adapterFiles, headKey } from './peft.js'
import { merging } from './peftConfig.js'

type CommonConfig = { readonly task_type?: string | null | undefined; readonly modules_to_save?: readonly string[] | null | undefined }

type AdapterFolder<Config> = {
  readonly config: Config
  readonly configFile: string
  /** the base with the head that the adapter has */
  readonly model: Model
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** those of the adapter's head; without a head, those of the base */
  readonly outputs: ModelOutputs
  readonly labelNames: readonly string[] | undefined
  /** @throws InputError if the file has other tensors than these and the head's */
  readonly checkTensors: (shapes: readonly (readonly [key: string, TensorShape])[]) => void
  /** trained head tensors by canonical name; empty if the adapter has none */
  readonly readHead: () => Promise<ReadonlyMap<string, Weights>>
}

/** @param keyOfHead the key of a head's tensor @throws InputError if a file is missing or no adapter's, or if the head contradicts the names beside it */
export const openAdapterFolder = async <Config extends CommonConfig>(
  folder: string,
  base: Pick<ModelFolder, 'model' | 'outputs' | 'whole'>,
  parse: (text: string, file: string) => Config,
  storage: Storage,
  keyOfHead = headKey,
): Promise<AdapterFolder<Config>> => {
  const configFile = await requiredFile(folder, adapterFiles.config, storage)
  const weightsFile = await weightsIn(folder, storage)
  const config = parse(await readText(configFile, adapterConfigLimit, storage), configFile)
  const { tensors } = await readSafetensors(weightsFile, storage)
  const names = await readNames(folder, storage)
  const model = names?.pooling === 'mean' ? sentenceEncoder(base.model) : base.model
  const toKey = (name: string): string => keyOfHead(model, name)
  const outputs = outputsIn(tensors, toKey, model, base.outputs, { names, task: config.task_type }, folder)
  // PEFT adds "classifier" for every sequence classifier, so an adapter of PEFT has one.
  const headShapes = headShapesIn(tensors, toKey, model, outputs, config.modules_to_save ?? [])
  return {
    config,
    configFile,
    model,
    tensors,
    outputs,
    labelNames: names?.labelNames ?? undefined,
    checkTensors: (shapes) => {
      const heads = [...headShapes].map(([name, shape]) => [toKey(name), shape] as const)
      const whole = [...(base.whole?.tensors ?? [])].map(([key, { shape }]) => [key, shape] as const)
      const expected = new Map([...shapes, ...heads, ...whole])
      refuseOtherModules(
        config,
        [...tensors.keys()].filter((key) => !expected.has(key)),
        configFile,
      )
      checkKeys(tensors, expected, weightsFile, adapterFiles.config)
    },
    readHead: () => readAll(tensors, headShapes.keys(), toKey),
  }
}

/** @throws InputError that says how to convert them, if the weights are pickled, as older versions of PEFT wrote them */
const weightsIn = async (folder: string, storage: Storage): Promise<string> => {
  const [weights, pickled] = [adapterFiles.weights, 'adapter_model.bin']
  if ((await fileInFolder(folder, weights, storage)) === undefined && (await fileInFolder(folder, pickled, storage)) !== undefined)
    throw inputError(folder, weights, `only ${pickled} (pickled weights are not read: save the adapter again by PEFT's save_pretrained)`)
  return requiredFile(folder, weights, storage)
}

/** @param others keys of tensors that neither matrices nor head have @throws InputError if modules_to_save describes one of them */
const refuseOtherModules = ({ modules_to_save: saved }: CommonConfig, others: readonly string[], configFile: string): void => {
  const name = saved?.find((module) => others.some((key) => key.includes(`.${module}.`)))
  if (name !== undefined) throw inputError(configFile, 'only modules_to_save of a classification head', `${quoted(name)} (${merging})`)
  const [, table] = others.flatMap((key) => /([^.]+)\.lora_embedding_[AB]$/.exec(key) ?? [])
  if (table !== undefined)
    throw inputError(configFile, 'target_modules that are matrices or word embeddings', `${quoted(table)} (${merging})`)
}
