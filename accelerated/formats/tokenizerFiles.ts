/** The tokenizer of an exported model: a copy of the base model's files, with the settings that other tools need. */
import type { ModelFolder } from '../checkpoints/modelFolder.js'
import type { Model } from '../models/architecture.js'
import { parseJson } from '../storage/json.js'
import { readText } from '../storage/text.js'
import { fileInFolder, joinPath } from '../storage/paths.js'
import { withFile } from '../storage/storage.js'
import { availablePositions } from '../training/runLength.js'
import type { Adapter } from './adapter.js'
import { jsonText, type BaseFolder, type TargetFolder } from './modelConfig.js'

const copiedFiles = ['tokenizer.json', 'special_tokens_map.json', 'added_tokens.json', 'vocab.json', 'merges.txt', 'vocab.txt']

/** Files about generation and conversations. */
const decoderFiles = ['generation_config.json', 'chat_template.jinja']

/**
 * Copies the tokenizer. Its settings name a class, a padding token and a longest input, also if the base model's do not. Those of the original
 * BERT and RoBERTa do not. Without them, other tools guess, or cannot pad a batch.
 * @param maxLength tokens of a text, as in training; null: as many as the model has positions, less virtual ones
 * @param more settings that apply unless the base model has its own
 * @throws InputError
 */
export const writeTokenizer = async (
  target: TargetFolder,
  base: BaseFolder,
  adapter: Pick<Adapter, 'model' | 'method' | 'settings'>,
  maxLength: number | null = null,
  more: object = {},
): Promise<void> => {
  const { model } = adapter
  const { left } = availablePositions(adapter.method, adapter.settings, model)
  for (const name of [...copiedFiles, ...(model.spec.kind === 'decoder' ? decoderFiles : [])]) await copyFile(target, base, name)
  const file = await fileInFolder(base.folder, 'tokenizer_config.json', base.storage)
  const json = file === undefined ? {} : parseJson(await readText(file, undefined, base.storage), file)
  const baseSettings = json as { readonly model_max_length?: unknown }
  const baseLength = typeof baseSettings.model_max_length === 'number' ? baseSettings.model_max_length : Infinity
  const settings = {
    ...(await paddingToken(base, model)),
    tokenizer_class: model.naming.tokenizer,
    ...more,
    ...baseSettings,
    ...(model.spec.kind === 'decoder' ? await readChatTemplate(base) : {}),
    model_max_length: Math.min(maxLength ?? baseLength, left),
  }
  await target.storage.write(joinPath(target.folder, 'tokenizer_config.json'), jsonText(settings))
}

/** The tokenizer beside an adapter that adds tokens to it; nothing for one that adds none. @throws InputError */
export const writeAddedTokens = async (
  target: TargetFolder,
  base: Pick<ModelFolder, 'folder' | 'storage' | 'added'>,
  adapter: Pick<Adapter, 'model' | 'method' | 'settings'>,
): Promise<void> => {
  if (base.added !== undefined) await writeTokenizer(target, base, adapter)
}

/** The text of chat_template.jinja, which has priority: transformers.js reads a template only in tokenizer_config.json. */
const readChatTemplate = async ({ folder, storage }: BaseFolder): Promise<{ readonly chat_template?: string }> => {
  const file = await fileInFolder(folder, 'chat_template.jinja', storage)
  return file === undefined ? {} : { chat_template: await readText(file, undefined, storage) }
}

/** Nothing to do if the base model has no such file. */
const copyFile = async (target: TargetFolder, base: BaseFolder, name: string): Promise<void> => {
  const file = await fileInFolder(base.folder, name, base.storage)
  if (file === undefined) return
  const bytes = await withFile(base.storage, file, ({ size, read }) => read(0, size))
  await target.storage.write(joinPath(target.folder, name), bytes)
}

/** The token whose id is the padding index, if tokenizer.json has it. */
const paddingToken = async ({ folder, storage }: BaseFolder, { paddingIndex }: Model): Promise<{ readonly pad_token?: string }> => {
  const file = joinPath(folder, 'tokenizer.json')
  const { added_tokens: added = [], model } = parseJson(await readText(file, undefined, storage), file) as TokenizerJson
  const vocab = model?.vocab ?? {}
  const inModel = Array.isArray(vocab) ? vocab[paddingIndex]?.[0] : Object.entries(vocab).find(([, id]) => id === paddingIndex)?.[0]
  const token = added.find(({ id }) => id === paddingIndex)?.content ?? inModel
  return token === undefined ? {} : { pad_token: token }
}

type TokenizerJson = {
  readonly added_tokens?: readonly { readonly id: number; readonly content: string }[]
  readonly model?: { readonly vocab?: Readonly<Record<string, number>> | Array<readonly [string, number]> }
}
