/** Tokens in a file: one a line, for tokens with commas and for many. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { readText } from '../../accelerated/storage/boundedJson.js'
import type { Values } from './settingFlags.js'

const settings = ['newTokens', 'trainableTokens'] as const

/** Bytes of a file of tokens. */
const limit = 1_000_000

/** The same values with the tokens of a `.txt` file in place of its name. @throws InputError */
export const withTokenFiles = async (values: Values): Promise<Values> => {
  const read = await Promise.all(settings.map(async (name) => [name, await tokensIn(values[name])] as const))
  return { ...values, ...Object.fromEntries(read.filter(([, tokens]) => tokens !== undefined)) }
}

const tokensIn = async (value: unknown): Promise<unknown> => {
  const [file] = Array.isArray(value) && value.length === 1 ? value : []
  if (typeof file !== 'string' || !file.endsWith('.txt')) return value
  const lines = (await readText(file, limit)).replace(/^\uFEFF/, '').split(/\r?\n/)
  const tokens = lines.filter((line) => line !== '')
  if (tokens.length === 0) throw inputError(file, 'a token on each line', 'an empty file')
  return tokens
}
