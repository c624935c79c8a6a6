/** Tokens in a file: one a line, for tokens with commas and for many. A list of tokens may be the name of one `.txt` file instead. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { readText } from '../../accelerated/storage/boundedJson.js'

type TokenLists = { readonly newTokens?: ReadonlyArray<string> | null; readonly trainableTokens?: ReadonlyArray<string> | null }

/** Bytes of a file of tokens. */
const limit = 1_000_000

/** The same settings with the tokens of a `.txt` file in place of its name, which may be relative to the process's folder. @throws InputError */
export const withTokenFiles = async <S extends TokenLists>(settings: S): Promise<S> => {
  const [newTokens, trainableTokens] = [await tokensIn(settings.newTokens), await tokensIn(settings.trainableTokens)]
  return { ...settings, ...(newTokens === null ? {} : { newTokens }), ...(trainableTokens === null ? {} : { trainableTokens }) }
}

/** null: the list names no file. */
const tokensIn = async (list: ReadonlyArray<string> | null | undefined): Promise<ReadonlyArray<string> | null> => {
  const [file] = list?.length === 1 ? list : []
  if (typeof file !== 'string' || !file.endsWith('.txt')) return null
  const lines = (await readText(file, limit)).replace(/^\uFEFF/, '').split(/\r?\n/)
  const tokens = lines.filter((line) => line !== '')
  if (tokens.length === 0) throw inputError(file, 'a token on each line', 'an empty file')
  return tokens
}
