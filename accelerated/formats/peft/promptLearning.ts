/** Prefix and prompt tuning in PEFT's format: one tensor without a module's name, and a head without LoRA's wrapper. PEFT calls both prompt learning. */
import { openAdapterFolder } from './adapterFolder.js'
import { startPhase } from '../../methods/startPhase.js'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { parseJson } from '../../storage/json.js'
import { inputError } from '../../errors/inputError.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import type { Model } from '../../models/architecture.js'
import type { Method } from '../../methods/method.js'
import { findMethod, resolveSettings, type Settings } from '../../training/resolveSettings.js'
import { availablePositions, shortestText } from '../../training/runLength.js'
import type { Adapter, AdapterFormat } from '../adapter.js'
import type { Storage } from '../../storage/storage.js'
import { readAll } from '../adapterTensors.js'
import { modulesToSave, writeContents, adapterContents } from './peft.js'
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
  write: (folder, adapter, _, storage) => {
    const { model, baseModelName, settings, tensors, outputs, head } = adapter
    const heads = [...head].map(([headName, weights]) => [headKey(model, headName), weights] as const)
    const config = configText(
      { baseModelName, outputs, modulesToSave: modulesToSave(head) },
      {
        peft_type: types[name],
        num_virtual_tokens: settings.numVirtualTokens,
        num_transformer_submodules: 1,
        ...describeSizes(name, model),
        ...methodKeys[name](model),
      },
    )
    return writeContents(folder, adapterContents(adapter, [...tensors, ...heads], config), storage)
  },
  read: async (folder, base, storage) =>
    (await isPeftType(folder, types[name], storage)) ? readPrompt(folder, name, base, storage) : null,
})

export const peftPrefix = promptLearning('prefix')
export const peftPrompt = promptLearning('prompt')

const headKey = ({ naming }: Model, name: string): string => `base_model.${naming.stored(name)}`

/** The sizes of a prefix's keys and values, or of a prompt's embeddings. A decoder's prompt has no attention heads of its own (null: the model's). */
const describeSizes = (name: Name, { spec: { embeddingSize, layers, kind } }: Model) => {
  const { heads = 0, headSize = 0 } = layers[0] ?? {}
  return name === 'prefix'
    ? { token_dim: heads * headSize, num_layers: layers.length, num_attention_heads: heads }
    : { token_dim: embeddingSize, num_layers: layers.length, num_attention_heads: kind === 'decoder' ? null : heads }
}

/** Parses the text of an adapter_config.json. @throws InputError */
export const parsePromptConfig = (name: Name, text: string, file: string): Config =>
  validate<Config>(schemas[name], parseJson(text, file), file, `a ${name} configuration`)

const readPrompt = async (folder: string, name: Name, base: ModelFolder, storage: Storage): Promise<Adapter> => {
  const { model } = base
  const method = findMethod(name)
  const toSettings = ({ num_virtual_tokens: count }: Config): Settings => resolveSettings({ method: name, numVirtualTokens: count })
  const parse = (text: string, file: string): Config => {
    const config = parsePromptConfig(name, text, file)
    checkSizes(name, config, model, file)
    checkPositions(method, toSettings(config), model, file)
    return config
  }
  const opened = await openAdapterFolder(folder, base, parse, storage, headKey)
  const { config, tensors, outputs, labelNames, checkTensors, readHead } = opened
  const settings = toSettings(config)
  const phase = startPhase(method, model.spec, settings)
  const shapes = method.train.tensors(phase, settings).map((tensor) => [tensor.name, tensor.shape] as const)
  checkTensors(shapes)
  return {
    model,
    baseModelName: config.base_model_name_or_path ?? '',
    method,
    settings,
    phase,
    outputs,
    tensors: await readAll(
      tensors,
      shapes.map(([key]) => key),
      (key) => key,
    ),
    head: await readHead(),
    labelNames,
  }
}

/** @throws InputError if the adapter was trained on a model of other sizes, even if its tensor would fit this one */
const checkSizes = (name: Name, config: Config, model: Model, where: string): void => {
  for (const [key, expected] of Object.entries(describeSizes(name, model))) {
    const size = config[key as keyof ReturnType<typeof describeSizes>] ?? expected
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
