/** Prefix and prompt tuning in PEFT's layout, which calls both prompt learning: one tensor without a module's name, and a head without LoRA's wrapper. */
import { startPhase } from '../../methods/startPhase.js'
import { join } from 'node:path'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { inputError } from '../../errors/inputError.js'
import { readSafetensors } from '../../checkpoints/safetensors/safetensors.js'
import { writeSafetensors, type WritableTensor } from '../../checkpoints/safetensors/writeSafetensors.js'
import type { Model, TensorShape } from '../../models/architecture.js'
import { methodOf, resolveSettings } from '../../training/settings.js'
import { availablePositions, shortestText } from '../../training/runLength.js'
import type { Adapter, AdapterFormat } from '../adapter.js'
import { adapterConfigLimit, checkKeys, fileOf, headShapesIn, namesText, outputsIn, readAll, readNames } from '../adapterTensors.js'
import { adapterFiles, modulesToSave, writeContents } from './peft.js'
import { configText, isPeftType } from './peftConfig.js'

const size = z.int().min(1).max(1_000_000).nullish()

/** What both have in adapter_config.json. PEFT takes sizes that are null from the model. */
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

/** What each writes beside what both have. */
const ownKeys: Readonly<Record<Name, (model: Model) => Readonly<Record<string, unknown>>>> = {
  prefix: ({ spec }) => ({ encoder_hidden_size: spec.hiddenSize, prefix_projection: false }),
  prompt: () => ({ prompt_tuning_init: 'RANDOM', prompt_tuning_init_text: null }),
}

const promptLearning = (name: Name): AdapterFormat => ({
  title: `PEFT's \`${name.toUpperCase()}_TUNING\``,
  library: 'peft',
  write: async (folder, { model, baseModelName, settings, tensors, outputs, head, labelNames }) => {
    const heads = [...head].map(([of, weights]): readonly [string, WritableTensor] => [headKey(model, of), weights])
    await writeContents(folder, {
      weights: writeSafetensors(new Map<string, WritableTensor>([...tensors, ...heads]), { format: 'pt' }),
      namesText: namesText(outputs, labelNames),
      configText: configText(
        { baseModelName, outputs, modulesToSave: modulesToSave(head) },
        {
          peft_type: types[name],
          num_virtual_tokens: settings.numVirtualTokens,
          num_transformer_submodules: 1,
          ...sizesOf(name, model),
          ...ownKeys[name](model),
        },
      ),
    })
  },
  read: async (folder, { model, outputs }) =>
    (await isPeftType(join(folder, adapterFiles.config), types[name])) ? readPrompt(folder, name, model, outputs) : null,
})

export const peftPrefix = promptLearning('prefix')
export const peftPrompt = promptLearning('prompt')

const headKey = ({ naming }: Model, name: string): string => `base_model.${naming.stored(name)}`

/** Of a prefix those of the keys and values; of a prompt those of the words, to which a decoder's heads of queries are nothing (null: the model's). */
const sizesOf = (name: Name, { spec: { embeddingSize, layers, kind } }: Model) => {
  const { heads = 0, headSize = 0 } = layers[0] ?? {}
  return name === 'prefix'
    ? { token_dim: heads * headSize, num_layers: layers.length, num_attention_heads: heads }
    : { token_dim: embeddingSize, num_layers: layers.length, num_attention_heads: kind === 'decoder' ? null : heads }
}

const readPrompt = async (folder: string, name: Name, model: Model, given: Adapter['outputs']): Promise<Adapter> => {
  const [configFile, weightsFile] = [await fileOf(folder, adapterFiles.config), await fileOf(folder, adapterFiles.weights)]
  const config: Config = validate<Config>(
    schemas[name],
    parseJson(await readText(configFile, adapterConfigLimit), configFile),
    configFile,
    `a ${name} configuration`,
  )
  checkSizes(name, config, model, configFile)
  const [method, settings] = [methodOf(name), resolveSettings({ method: name, numVirtualTokens: config.num_virtual_tokens })]
  const { positions, left } = availablePositions(method, settings, model)
  if (left < shortestText)
    throw inputError(
      configFile,
      `num_virtual_tokens of at most ${positions - shortestText}, as the model has ${positions} positions`,
      String(config.num_virtual_tokens),
    )

  const { tensors } = await readSafetensors(weightsFile)
  const names = await readNames(folder)
  const keyOf = (of: string): string => headKey(model, of)
  const outputs = outputsIn(tensors, keyOf, model, given, { names, task: config.task_type }, folder)
  const phase = startPhase(method, model.spec, settings)
  const own = method.train.tensors(phase, settings)
  const headShapes = headShapesIn(tensors, keyOf, model, outputs, config.modules_to_save ?? [])
  const expected = new Map<string, TensorShape>([
    ...own.map(({ name: key, shape }) => [key, shape] as const),
    ...[...headShapes].map(([of, shape]) => [keyOf(of), shape] as const),
  ])
  checkKeys(tensors, expected, weightsFile, adapterFiles.config)
  return {
    model,
    baseModelName: config.base_model_name_or_path ?? '',
    method,
    settings,
    phase,
    outputs,
    tensors: await readAll(
      tensors,
      own.map(({ name: key }) => key),
      (key) => key,
    ),
    head: await readAll(tensors, headShapes.keys(), keyOf),
    labelNames: names?.labelNames ?? undefined,
  }
}

/** @throws Mistake for an adapter that was trained on a model of other sizes, whether or not its tensor would fit this one */
const checkSizes = (name: Name, config: Config, model: Model, where: string): void => {
  for (const [key, expected] of Object.entries(sizesOf(name, model))) {
    const found = config[key as keyof ReturnType<typeof sizesOf>] ?? expected
    if (expected !== null && found !== expected) throw inputError(where, `${key} ${expected}, as the model has it`, String(found))
  }
}
