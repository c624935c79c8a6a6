/** tokenizer.json: validated, with token tables whose ids are rows of the vocabulary. */
import { inputError, quoted } from '../../errors/inputError.js'
import { validate } from '../../errors/validate.js'
import { parseJson } from '../../storage/json.js'
import { z } from 'zod'
import { blankSplit, decoderSchema, tokenizerSchema, type DecoderJson, type TokenizerJson } from './tokenizerSchema.js'
import type { ScoredPieces } from './sentencePiece.js'

/** Bytes of a tokenizer_config.json. */
export const tokenizerConfigLimit = 4_000_000

export type UnigramModel = Extract<TokenizerJson['model'], { readonly type: 'Unigram' }>

/** A validated tokenizer.json, in the form that the library takes. */
export type TokenizerFile = Omit<TokenizerJson, 'added_tokens' | 'decoder'> & {
  readonly added_tokens: readonly AddedToken[]
  readonly decoder: DecoderJson
  /** false if the file's decoder is not supported; `decoder` is then null, and only decoding fails */
  readonly decodes: boolean
}

type AddedToken = NonNullable<TokenizerJson['added_tokens']>[number]

/**
 * Parses the text of a tokenizer.json for a vocabulary of `vocabularySize` rows. `where` is the file's name in messages, and `configFile` that of
 * the file with the size. @throws InputError for text that is not JSON, components that are not supported, malformed tables, and too large ids
 */
export const parseTokenizerFile = (text: string, where: string, vocabularySize: number, configFile: string): TokenizerFile => {
  const tokenizer = validate(tokenizerSchema, withoutBlankSplit(withModelType(parseJson(text, where))), where, 'a supported tokenizer')
  const { model, added_tokens: added, decoder: decoderJson, ...others } = tokenizer
  const rest = { ...others, model }
  const largest = Math.max(
    model.type === 'Unigram' ? parsePieces(model, where).length - 1 : largestId(model.vocab, where),
    (added ?? []).reduce((most, token) => Math.max(most, token.id), -1),
  )
  if (largest >= vocabularySize) throw inputError(where, `ids below vocab_size ${vocabularySize} of ${configFile}`, `${largest}`)
  if (model.type === 'BPE') checkMerges(model.merges, where)
  const decoder = decoderSchema.safeParse(decoderJson)
  return { ...rest, added_tokens: added ?? [], decoder: decoder.success ? decoder.data : null, decodes: decoder.success }
}

/** Old files lack the model's type. Only a byte-pair model has merges. */
const withModelType = (json: unknown): unknown => {
  if (!isTable(json) || !isTable(json['model']) || json['model']['type'] !== undefined) return json
  return { ...json, model: { ...json['model'], type: 'merges' in json['model'] ? 'BPE' : 'WordPiece' } }
}

/** Gemma's cut at blanks finds none where the normalizer makes ▁ of each, so it is left out. */
const withoutBlankSplit = (json: unknown): unknown => {
  if (!isTable(json) || !blankSplit.safeParse(json['pre_tokenizer']).success) return json
  return blankReplacement.safeParse(json['normalizer']).success ? { ...json, pre_tokenizer: null } : json
}

const blankReplacement = z.object({
  type: z.literal('Replace'),
  pattern: z.strictObject({ String: z.literal(' ') }),
  content: z.literal('▁'),
})

const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Without a schema, which would copy a quarter of a million entries. The largest id is the length of a list. @throws InputError */
const largestId = (vocab: unknown, where: string): number => {
  if (!isTable(vocab)) throw inputError(where, 'model.vocab that maps tokens to ids', 'something else')
  let largest = -1
  for (const [token, value] of Object.entries(vocab)) {
    if (!Number.isSafeInteger(value) || Number(value) < 0)
      throw inputError(where, `an id for ${quoted(token)} in model.vocab`, 'no whole number from 0')
    largest = Math.max(largest, Number(value))
  }
  return largest
}

/** Characters of a piece. A word takes that many steps for each of its characters. */
const longestPiece = 128

/** Without a schema, as above. @throws InputError unless it is a list of pieces and numbers that has the unknown piece */
export const parsePieces = ({ vocab, unk_id: unknown }: UnigramModel, where: string): ScoredPieces => {
  const pieces: readonly unknown[] = Array.isArray(vocab) ? vocab : []
  const odd = pieces.findIndex((piece) => !isPiece(piece))
  if (odd >= 0 || pieces.length === 0)
    throw inputError(
      where,
      `model.vocab of pieces of 1 to ${longestPiece} characters, each with a number`,
      `something else at ${Math.max(odd, 0)}`,
    )
  if (unknown >= pieces.length) throw inputError(where, `model.unk_id below the ${pieces.length} pieces of model.vocab`, String(unknown))
  return pieces.filter(isPiece)
}

/** The character before which Metaspace cuts a text into words; null if it does not cut, or if there is no Metaspace. */
export const wordMark = ({ pre_tokenizer: preTokenizer }: TokenizerFile): string | null => {
  const parts = preTokenizer === null ? [] : preTokenizer.type === 'Sequence' ? preTokenizer.pretokenizers : [preTokenizer]
  const metaspace = parts.find((part) => part.type === 'Metaspace')
  return metaspace === undefined || metaspace.split === false ? null : metaspace.replacement
}

const isPiece = (value: unknown): value is readonly [string, number] =>
  Array.isArray(value) &&
  value.length === 2 &&
  typeof value[0] === 'string' &&
  value[0].length >= 1 &&
  value[0].length <= longestPiece &&
  Number.isFinite(value[1])

const checkMerges = (merges: readonly unknown[], where: string): void => {
  const kind = (merge: unknown): string =>
    typeof merge === 'string'
      ? 'text'
      : Array.isArray(merge) && merge.length === 2 && merge.every((half) => typeof half === 'string')
        ? 'pair'
        : 'other'
  const first = kind(merges[0] ?? '')
  const odd = merges.findIndex((merge) => kind(merge) !== first)
  if (first === 'other' || odd >= 0)
    throw inputError(where, 'model.merges that are all texts or all pairs of texts', `something else at ${Math.max(odd, 0)}`)
}
