/** A model folder with new tokens: its tokenizer and its configuration have them, its weights stay as they are. */
import { readText } from '../storage/text.js'
import { withTexts } from '../storage/storage.js'
import { fileInFolder, requiredFile } from '../storage/paths.js'
import { namesLimit } from './labelNames.js'
import type { ModelFolder } from './modelFolder.js'
import { tokensBeyond, withListedTokens, withNewTokens } from './tokenizer/addedTokens.js'
import { loadTokenizerOnce } from './tokenizer/tokenizer.js'
import { tokenizerConfigLimit } from './tokenizer/tokenizerFile.js'
import type { Model } from '../models/architecture.js'

/**
 * The folder as if it had these tokens. Where its tables have rows without a token, new tokens take them; the vocabulary grows by the others.
 * @throws InputError if a token exists
 */
export const extendVocabulary = async (base: ModelFolder, tokens: readonly string[]): Promise<ModelFolder> => {
  if (tokens.length === 0) return base
  const file = await requiredFile(base.folder, 'tokenizer.json', base.storage)
  const { text, from } = withNewTokens(await readText(file, undefined, base.storage), tokens, file)
  return extended(base, tokens, from, text)
}

/** The same with the tokens that another text of tokenizer.json has beyond the folder's. @param where the text's file @throws InputError */
export const extendedByTokenizer = async (base: ModelFolder, text: string, where: string): Promise<ModelFolder> => {
  const file = await requiredFile(base.folder, 'tokenizer.json', base.storage)
  const { tokens, from } = tokensBeyond(text, await readText(file, undefined, base.storage), where, file)
  return tokens.length === 0 ? base : extended(base, tokens, from, text)
}

const extended = async (base: ModelFolder, tokens: readonly string[], from: number, tokenizer: string): Promise<ModelFolder> => {
  const { folder, storage, model } = base
  const texts = new Map([[await requiredFile(folder, 'tokenizer.json', storage), tokenizer]])
  const settings = await fileInFolder(folder, 'tokenizer_config.json', storage)
  if (settings !== undefined) {
    const listed = withListedTokens(await readText(settings, tokenizerConfigLimit, storage), tokens, from, settings)
    if (listed !== null) texts.set(settings, listed)
  }
  const size = Math.max(model.vocabularySize, from + tokens.length)
  const config = await requiredFile(folder, 'config.json', storage)
  if (size > model.vocabularySize) texts.set(config, withValue(await readText(config, namesLimit, storage), 'vocab_size', size))
  const larger = { ...base, model: withVocabulary(model, size), storage: withTexts(storage, texts) }
  return { ...larger, tokenizer: loadTokenizerOnce(larger), added: { tokens, from, plain: base } }
}

/** The text of a config.json with this value of a key. All other numbers keep their form. */
export const withValue = (text: string, key: 'vocab_size' | 'tie_word_embeddings', value: number | boolean): string => {
  const given = new RegExp(`("${key}"\\s*:\\s*)(?:\\d+|true|false)`)
  return given.test(text) ? text.replace(given, `$1${value}`) : text.replace('{', `{"${key}": ${value},`)
}

// A model whose vocabulary is longer than its tables: the rows of the other words come from a method.
/** @param vocabularySize at least the model's own */
export const withVocabulary = (model: Model, vocabularySize: number): Model => ({
  ...model,
  vocabularySize,
  withDropout: (probability) => withVocabulary(model.withDropout(probability), vocabularySize),
})
