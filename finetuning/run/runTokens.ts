/** The tokens whose rows a run trains: new ones, which its base model then has, and those that it names. */
import { extendVocabulary } from '../../accelerated/checkpoints/extendVocabulary.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { tableRows } from '../../accelerated/checkpoints/frozenWeights.js'
import { tokenTable } from '../../accelerated/checkpoints/tokenizer/addedTokens.js'
import { quoted, inputError } from '../../accelerated/errors/inputError.js'
import { SettingsError } from '../../accelerated/errors/expectedErrors.js'
import { option, words } from '../../accelerated/errors/words.js'
import type { TokenRows } from '../../accelerated/methods/trainedTokens.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import { readText } from '../../accelerated/storage/text.js'
import { requiredFile } from '../../accelerated/storage/paths.js'
import type { Settings } from '../../accelerated/training/resolveSettings.js'

export type RunTokens = {
  /** the base model with the new tokens */
  readonly base: ModelFolder
  readonly tokens: readonly TokenRows[]
}

/** @param outputs of the task: next tokens also read an output matrix of its own @throws SettingsError for a token that the tokenizer has or lacks */
export const runTokens = async (
  base: ModelFolder,
  { newTokens: added = null, trainableTokens: named = null }: Settings,
  outputs: ModelOutputs,
): Promise<RunTokens> => {
  if (added === null && named === null) return { base, tokens: [] }
  const file = await requiredFile(base.folder, 'tokenizer.json', base.storage)
  const { findId } = tokenTable(await readText(file, undefined, base.storage), file)
  const known = added?.find((token) => findId(token) !== undefined)
  if (known !== undefined)
    throw new SettingsError(
      'newTokens',
      words`tokens that the tokenizer lacks (${option('trainableTokens')} trains those that it has)`,
      `${quoted(known)}, token ${findId(known)}`,
    )
  const { vocabularySize } = base.model
  const extended = await extendVocabulary(base, added ?? [])
  const ids = new Set((named ?? []).map((token) => findTokenId(token, findId, vocabularySize)))
  added?.forEach((_, i) => ids.add((extended.added?.from ?? NaN) + i))
  const sorted = [...ids].sort((a, b) => a - b)
  const { words: input } = base.model.spec
  const output = outputs.head === 'causal' ? (base.model.causalHead?.().words ?? input) : input
  const tokens: TokenRows[] = []
  for (const table of new Set([input, output])) {
    const { shape, rows } = await tableRows(extended, table, sorted)
    tokens.push({ table, shape, ids: sorted, newFrom: extended.added?.from ?? Infinity, initial: rows })
  }
  return { base: extended, tokens }
}

/** The id of a token's text, or an id as a number. */
const findTokenId = (token: string, findId: (token: string) => number | undefined, vocabularySize: number): number => {
  if (/^\d+$/.test(token)) {
    if (Number(token) < vocabularySize) return Number(token)
    throw new SettingsError('trainableTokens', `ids below the vocabulary's ${vocabularySize}`, token)
  }
  const id = findId(token)
  if (id !== undefined) return id
  throw new SettingsError(
    'trainableTokens',
    words`tokens of the model's tokenizer, as tokenizer.json writes them, or ids (${option('newTokens')} adds tokens)`,
    quoted(token),
  )
}

/** Tokens in a file: one a line, for tokens with commas and for many. A list of tokens may be the name of one `.txt` file instead. */
type TokenLists = { readonly newTokens?: readonly string[] | null; readonly trainableTokens?: readonly string[] | null }

/** Bytes of a file of tokens. */
const limit = 1_000_000

/** The same settings with the tokens of a `.txt` file in place of its name, which may be relative to the process's folder. @throws InputError */
export const withTokenFiles = async <S extends TokenLists>(settings: S): Promise<S> => {
  const [newTokens, trainableTokens] = [await tokensIn(settings.newTokens), await tokensIn(settings.trainableTokens)]
  return { ...settings, ...(newTokens === null ? {} : { newTokens }), ...(trainableTokens === null ? {} : { trainableTokens }) }
}

/** null: the list names no file. */
const tokensIn = async (list: readonly string[] | null | undefined): Promise<readonly string[] | null> => {
  const [file] = list?.length === 1 ? list : []
  if (typeof file !== 'string' || !file.endsWith('.txt')) return null
  const lines = (await readText(file, limit)).replace(/^\uFEFF/, '').split(/\r?\n/)
  const tokens = lines.filter((line) => line !== '')
  if (tokens.length === 0) throw inputError(file, 'a token on each line', 'an empty file')
  return tokens
}
