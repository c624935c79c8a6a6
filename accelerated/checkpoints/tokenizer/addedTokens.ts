/** New tokens in the files of a tokenizer, with the ids that the tokenizers library gives them, and the ids of tokens that are there. */
import { inputError, quoted } from '../../errors/inputError.js'
import { parseJson } from '../../storage/json.js'

/** The part of a tokenizer.json that numbers tokens. The file has passed the tokenizer's schema, or will. */
type TokenizerJson = {
  readonly added_tokens?: readonly { readonly id: number; readonly content: string }[] | null
  readonly model: { readonly vocab: Readonly<Record<string, number>> | readonly (readonly [string, number])[] }
}

/** The tokens of a tokenizer.json by their text. */
type TokenTable = { readonly findId: (token: string) => number | undefined; readonly tokens: number }

/** @throws InputError if the text is not that of a tokenizer */
export const tokenTable = (text: string, where: string): TokenTable => buildTokenTable(parsed(text, where), where)

const parsed = (text: string, where: string): TokenizerJson => {
  const json = parseJson(text, where)
  const { model } = (typeof json === 'object' && json !== null ? json : {}) as Partial<TokenizerJson>
  if (typeof model?.vocab !== 'object' || model.vocab === null) throw inputError(where, 'a tokenizer with model.vocab', 'none')
  return json as TokenizerJson
}

/** tokens: one more than the largest id. @throws InputError for ids with gaps, which other tools would number anew */
const buildTokenTable = ({ model: { vocab }, added_tokens: added }: TokenizerJson, where: string): TokenTable => {
  const ids = new Map(
    Array.isArray(vocab)
      ? vocab.map(([token], id): [string, number] => [token, id])
      : Object.entries(vocab as Readonly<Record<string, number>>),
  )
  const pieces = ids.size
  for (const { content, id } of added ?? []) ids.set(content, id)
  let largest = -1
  for (const id of ids.values()) largest = Math.max(largest, id)
  const beyond = (added ?? []).filter(({ id }) => id >= pieces).length
  if (largest + 1 !== pieces + beyond)
    throw inputError(
      where,
      `tokens whose ids follow one another, since new tokens come after them`,
      `${pieces + beyond} tokens up to id ${largest}`,
    )
  return { findId: (token) => ids.get(token), tokens: largest + 1 }
}

/** A token in angle or square brackets is special: decoding leaves it out. */
const isSpecialToken = (token: string): boolean => /^(<.+>|\[.+\])$/s.test(token)

/** As the library writes an added token: found in a text as it is, whatever is beside it. */
const buildEntry = (token: string, id: number) => ({
  id,
  content: token,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: isSpecialToken(token),
})

/** The text of a tokenizer.json with new tokens, which come after all others. @throws InputError if one is a token already */
export const withNewTokens = (text: string, tokens: readonly string[], where: string): { readonly text: string; readonly from: number } => {
  const json = parsed(text, where)
  const { findId, tokens: from } = buildTokenTable(json, where)
  const known = tokens.find((token) => findId(token) !== undefined)
  if (known !== undefined) throw inputError(where, `no token ${quoted(known)}, as it is to be a new one`, `one of id ${findId(known)}`)
  const entries = tokens.map((token, i) => buildEntry(token, from + i))
  return { text: JSON.stringify({ ...json, added_tokens: [...(json.added_tokens ?? []), ...entries] }, null, 2), from }
}

/** The text of a tokenizer_config.json that lists the new tokens if it lists the others; null if it does not. */
export const withListedTokens = (text: string, tokens: readonly string[], from: number, where: string): string | null => {
  const json = parseJson(text, where) as { readonly added_tokens_decoder?: unknown }
  const { added_tokens_decoder: listed } = json
  if (typeof listed !== 'object' || listed === null) return null
  const entries = tokens.map((token, i) => {
    const { id, ...entry } = buildEntry(token, from + i)
    return [String(id), entry] as const
  })
  return `${JSON.stringify({ ...json, added_tokens_decoder: { ...listed, ...Object.fromEntries(entries) } }, null, 2)}\n`
}

/** The tokens of a tokenizer.json beyond those of another, in the order of their ids, and their first id. @throws InputError for gaps in their ids */
export const tokensBeyond = (
  longer: string,
  shorter: string,
  where: string,
  ofShorter: string,
): { readonly tokens: readonly string[]; readonly from: number } => {
  const { tokens: from } = tokenTable(shorter, ofShorter)
  const beyond = (parsed(longer, where).added_tokens ?? []).filter(({ id }) => id >= from).sort((a, b) => a.id - b.id)
  const gap = beyond.findIndex(({ id }, i) => id !== from + i)
  if (gap >= 0)
    throw inputError(where, `a token of id ${from + gap}, the first beyond those of ${ofShorter}`, `one of id ${beyond[gap]?.id}`)
  return { tokens: beyond.map(({ content }) => content), from }
}
