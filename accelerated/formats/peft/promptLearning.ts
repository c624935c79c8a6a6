/** Prefix and prompt tuning in PEFT's format: one tensor without a module's name, and a head without LoRA's wrapper. PEFT calls both prompt learning. */
import { startPhase } from '../../methods/startPhase.js'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { parseJson } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { inputError } from '../../errors/inputError.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { readSafetensors } from '../../checkpoints/safetensors/safetensors.js'
import { writeSafetensors, type WritableTensor } from '../../checkpoints/safetensors/writeSafetensors.js'
import type { Model, TensorShape } from '../../models/architecture.js'
import type { Method } from '../../methods/method.js'
import { methodOf, resolveSettings, type Settings } from '../../training/settings.js'
import { availablePositions, shortestText } from '../../training/runLength.js'
import type { Adapter, AdapterFormat } from '../adapter.js'
import { requiredFile } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import { headShapesIn, outputsIn } from '../adapterHead.js'
import { checkKeys, readAll } from '../adapterTensors.js'
import { adapterConfigLimit, namesText, readNames } from '../namesFile.js'
import { adapterFiles, modulesToSave, writeContents } from './peft.js'
import { configText, isPeftType } from './peftConfig.js'

const size = z.int().min(1).max(1_000_000).nullish()

/** The keys of adapter_config.json that both methods have. PEFT takes sizes that are null from the model. */
const common = {
  task_type: z.string().max(100).nullish(),
  base_model_name_or_path: z.string().max(10_000).nullish(),
  num_virtual_tokens: z.int().min(1).max(65_536),
  token_dim: size,
  num_layers: size,
  num_attention_heads: size,
  num_transformer_submodules: z.literal(1).nullish(),
  modules_to_save: z.array(z.string().max(1_000)).max(1_000).nullish(),
}

const types = { prefix: 'PREFIX_TUNING', prompt: 'PROMPT_TUNING' } as const
type Name = keyof typeof types

const schemas = {
  prefix: z.object({ ...common, peft_type: z.literal(types.prefix), prefix_projection: z.literal(false).nullish() }),
  prompt: z.object({ ...common, peft_type: z.literal(types.prompt) }),
} as const
type Config = z.infer<(typeof schemas)[Name]>

/** The keys that only one of the methods has. */
const methodKeys: Readonly<Record<Name, (model: Model) => Readonly<Record<string, unknown>>>> = {
  prefix: ({ spec }) => ({ encoder_hidden_size: spec.hiddenSize, prefix_projection: false }),
  prompt: () => ({ prompt_tuning_init: 'RANDOM', prompt_tuning_init_text: null }),
}

const promptLearning = (name: Name): AdapterFormat => ({
  title: `PEFT's \`${name.toUpperCase()}_TUNING\``,
  library: 'peft',
  write: (folder, { model, baseModelName, settings, tensors, outputs, head, labelNames }, _, storage) => {
    const heads = [...head].map(([headName, weights]): readonly [string, WritableTensor] => [headKey(model, headName), weights])
    const contents = {
      weights: writeSafetensors(new Map<string, WritableTensor>([...tensors, ...heads]), { format: 'pt' }),
      namesText: namesText(model, outputs, labelNames),
      configText: configText(
        { baseModelName, outputs, modulesToSave: modulesToSave(head) },
        {
          peft_type: types[name],
          num_virtual_tokens: settings.numVirtualTokens,
          num_transformer_submodules: 1,
          ...sizesOf(name, model),
          ...methodKeys[name](model),
        },
      ),
    }
    return writeContents(folder, contents, storage)
  },
  read: async (folder, base, storage) =>
    (await isPeftType(folder, types[name], storage)) ? readPrompt(folder, name, base, storage) : null,
})

export const peftPrefix = promptLearning('prefix')
export const peftPrompt = promptLearning('prompt')

const headKey = ({ naming }: Model, name: string): string => `base_model.${naming.stored(name)}`

/** The sizes of a prefix's keys and values, or of a prompt's embeddings. A decoder's prompt has no attention heads of its own (null: the model's). */
const sizesOf = (name: Name, { spec: { embeddingSize, layers, kind } }: Model) => {
  const { heads = 0, headSize = 0 } = layers[0] ?? {}
  return name === 'prefix'
    ? { token_dim: heads * headSize, num_layers: layers.length, num_attention_heads: heads }
    : { token_dim: embeddingSize, num_layers: layers.length, num_attention_heads: kind === 'decoder' ? null : heads }
}

const readPrompt = async (folder: string, name: Name, base: ModelFolder, storage: Storage): Promise<Adapter> => {
  const { model } = base
  const configFile = await requiredFile(folder, adapterFiles.config, storage)
  const weightsFile = await requiredFile(folder, adapterFiles.weights, storage)
  const json = parseJson(await readText(configFile, adapterConfigLimit, storage), configFile)
  const config: Config = validate<Config>(schemas[name], json, configFile, `a ${name} configuration`)
  checkSizes(name, config, model, configFile)
  const [method, settings] = [methodOf(name), resolveSettings({ method: name, numVirtualTokens: config.num_virtual_tokens })]
  checkPositions(method, settings, model, configFile)
  const { tensors } = await readSafetensors(weightsFile, storage)
  const names = await readNames(folder, storage)
  const keyOf = (headName: string): string => headKey(model, headName)
  const outputs = outputsIn(tensors, keyOf, model, base.outputs, { names, task: config.task_type }, folder)
  const phase = startPhase(method, model.spec, settings)
  const shapes = new Map(method.train.tensors(phase, settings).map((tensor) => [tensor.name, tensor.shape]))
  const headShapes = headShapesIn(tensors, keyOf, model, outputs, config.modules_to_save ?? [])
  const heads = [...headShapes].map(([headName, shape]) => [keyOf(headName), shape] as const)
  checkKeys(tensors, new Map<string, TensorShape>([...shapes, ...heads]), weightsFile, adapterFiles.config)
  return {
    model,
    baseModelName: config.base_model_name_or_path ?? '',
    method,
    settings,
    phase,
    outputs,
    tensors: await readAll(tensors, shapes.keys(), (key) => key),
    head: await readAll(tensors, headShapes.keys(), keyOf),
    labelNames: names?.labelNames ?? undefined,
  }
}

/** @throws InputError if the adapter was trained on a model of other sizes, even if its tensor would fit this one */
const checkSizes = (name: Name, config: Config, model: Model, where: string): void => {
  for (const [key, expected] of Object.entries(sizesOf(name, model))) {
    const size = config[key as keyof ReturnType<typeof sizesOf>] ?? expected
    if (expected !== null && size !== expected) throw inputError(where, `${key} ${expected}, as the model has it`, String(size))
  }
}

/** @throws InputError if the virtual tokens leave no positions for a text */
const checkPositions = (method: Method, settings: Settings, model: Model, where: string): void => {
  const { positions, left } = availablePositions(method, settings, model)
  if (left >= shortestText) return
  const limit = positions - shortestText
  throw inputError(
    where,
    `num_virtual_tokens of at most ${limit}, as the model has ${positions} positions`,
    String(settings.numVirtualTokens),
  )
}
