/**
 * tokenizer.json as far as the supported families need it, within bounds: only components that cost time linear in the text are passed on
 * (no regular expression of the file's own, no replacement but of a short text), and ids that are rows of the word table.
 */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { parseJson } from '../../storage/boundedJson.js'
import { inputError, quoted } from '../../errors/inputError.js'
import type { ScoredPieces } from './unigram.js'

/** Bytes of a tokenizer_config.json. */
export const tokenizerConfigLimit = 4_000_000

const word = z.string().max(1_000)
/** What stands for another text: it must not make much of little. */
const short = z.string().max(8)
const flag = z.boolean().nullish()
const part = <T extends string>(type: T) => z.object({ type: z.literal(type) })
const id = z.int().min(0)
const anchor = z.tuple([word, id])

/** What Llama 3 and Qwen2 take for a word: the only regular expressions of a file that are run. */
const knownWords = [3, 1].map(
  (digits) =>
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" +
    `${digits === 1 ? '' : `{1,${digits}}`}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
)

/** Runs of blanks as SentencePiece and DeBERTa make one of them. */
const knownBlanks = [' {2,}', '\\s{2,}|[\\n\\r\\t]']

const normalizers = [
  part('NFC'),
  part('NFD'),
  part('NFKC'),
  part('NFKD'),
  part('Lowercase'),
  part('StripAccents'),
  part('Strip').extend({ strip_left: flag, strip_right: flag }),
  part('Prepend').extend({ prepend: short }),
  part('Replace').extend({
    pattern: z.union([z.strictObject({ String: short.min(1) }), z.strictObject({ Regex: z.enum(knownBlanks) })]),
    content: short,
  }),
  part('Precompiled').extend({ precompiled_charsmap: z.string().min(1).max(4_000_000) }),
  part('BertNormalizer').extend({ clean_text: flag, handle_chinese_chars: flag, strip_accents: flag, lowercase: flag }),
] as const
const preTokenizers = [
  part('BertPreTokenizer'),
  part('Whitespace'),
  part('WhitespaceSplit'),
  part('ByteLevel').extend({ add_prefix_space: flag, trim_offsets: flag, use_regex: flag }),
  // the library knows no other way to cut at punctuation marks
  part('Punctuation').extend({ behavior: z.literal('Contiguous') }),
  part('Digits').extend({ individual_digits: flag }),
  part('Metaspace').extend({
    replacement: word.length(1),
    add_prefix_space: flag,
    prepend_scheme: z.enum(['always', 'never', 'first']).nullish(),
    split: flag,
  }),
  part('Split').extend({
    pattern: z.strictObject({ Regex: z.enum(knownWords) }),
    behavior: z.literal('Isolated'),
    invert: z.literal(false).nullish(),
  }),
] as const
const template = z
  .array(
    z.union([
      z.strictObject({ SpecialToken: z.object({ id: word, type_id: id }) }),
      z.strictObject({ Sequence: z.object({ id: z.enum(['A', 'B']), type_id: id }) }),
    ]),
  )
  .max(16)
const postProcessors = [
  part('BertProcessing').extend({ sep: anchor, cls: anchor }),
  part('RobertaProcessing').extend({ sep: anchor, cls: anchor, trim_offsets: flag, add_prefix_space: flag }),
  part('ByteLevel').extend({ add_prefix_space: flag, trim_offsets: flag, use_regex: flag }),
  part('TemplateProcessing').extend({ single: template, pair: template }),
] as const
/** What makes text of tokens. */
const decoders = [
  part('ByteLevel'),
  part('ByteFallback'),
  part('Fuse'),
  part('WordPiece').extend({ prefix: word, cleanup: flag }),
  part('Metaspace').extend({ replacement: word.length(1), add_prefix_space: flag, prepend_scheme: z.string().max(100).nullish() }),
  part('Replace').extend({ pattern: z.strictObject({ String: short.min(1) }), content: short }),
  part('Strip').extend({ content: word.length(1), start: z.int().min(0).max(1_000), stop: z.int().min(0).max(1_000) }),
] as const
const inSequence = 16
const decoderSchema = z
  .discriminatedUnion('type', [
    ...decoders,
    part('Sequence').extend({ decoders: z.array(z.discriminatedUnion('type', decoders)).max(inSequence) }),
  ])
  .nullable()
  .default(null)

const schema = z.object({
  added_tokens: z
    .array(z.object({ id, content: word.min(1), single_word: flag, lstrip: flag, rstrip: flag, normalized: flag, special: flag }))
    .max(100_000)
    .nullish(),
  normalizer: z
    .discriminatedUnion('type', [
      ...normalizers,
      part('Sequence').extend({ normalizers: z.array(z.discriminatedUnion('type', normalizers)).max(inSequence) }),
    ])
    .nullable()
    .default(null),
  pre_tokenizer: z
    .discriminatedUnion('type', [
      ...preTokenizers,
      part('Sequence').extend({ pretokenizers: z.array(z.discriminatedUnion('type', preTokenizers)).max(inSequence) }),
    ])
    .nullable()
    .default(null),
  post_processor: z
    .discriminatedUnion('type', [
      ...postProcessors,
      part('Sequence').extend({ processors: z.array(z.discriminatedUnion('type', postProcessors)).max(inSequence) }),
    ])
    .nullable()
    .default(null),
  decoder: z.unknown().optional(),
  model: z.discriminatedUnion('type', [
    part('WordPiece').extend({
      unk_token: word,
      continuing_subword_prefix: word.default('##'),
      // matching a word costs the square of its length
      max_input_chars_per_word: z.int().min(1).max(1_000).default(100),
      vocab: z.unknown(),
    }),
    part('BPE').extend({
      unk_token: word.nullish(),
      continuing_subword_prefix: word.nullish(),
      continuing_subword_suffix: word.nullish(),
      end_of_word_suffix: word.nullish(),
      dropout: z.literal(0).nullish(),
      fuse_unk: flag,
      byte_fallback: flag,
      ignore_merges: flag,
      vocab: z.unknown(),
      merges: z.array(z.unknown()),
    }),
    part('Unigram').extend({ unk_id: id, byte_fallback: z.literal(false).nullish(), vocab: z.unknown() }),
  ]),
})

export type UnigramModel = Extract<z.infer<typeof schema>['model'], { readonly type: 'Unigram' }>

/** What transformers.js is given. */
export type TokenizerFile = Omit<z.infer<typeof schema>, 'added_tokens' | 'decoder'> & {
  readonly added_tokens: ReadonlyArray<unknown>
  readonly decoder: z.infer<typeof decoderSchema>
  /** whether `decoder` is the file's own: one of no known kind is a mistake where text is to be made of tokens, and nowhere else */
  readonly decodes: boolean
}

/**
 * Parses the text of a tokenizer.json for a word table of `vocabularySize` rows. `where` is the file's name in messages, `configFile` that
 * of the table's size. Throws Mistake: not JSON, a component that is not known to be harmless, a table that is none, ids beyond the rows.
 */
export const parseTokenizerFile = (text: string, where: string, vocabularySize: number, configFile: string): TokenizerFile => {
  const tokenizer = validate(schema, withModelType(parseJson(text, where)), where, "a tokenizer of BERT's or RoBERTa's kind")
  const { model, added_tokens: added, decoder: own, ...others } = tokenizer
  const rest = { ...others, model }
  const largest = Math.max(
    model.type === 'Unigram' ? piecesOf(model, where).length - 1 : largestId(model.vocab, where),
    (added ?? []).reduce((most, token) => Math.max(most, token.id), -1),
  )
  if (largest >= vocabularySize) throw inputError(where, `ids below vocab_size ${vocabularySize} of ${configFile}`, `${largest}`)
  if (model.type === 'BPE') checkMerges(model.merges, where)
  const decoder = decoderSchema.safeParse(own)
  return { ...rest, added_tokens: added ?? [], decoder: decoder.success ? decoder.data : null, decodes: decoder.success }
}

/** Old files of both families leave the model's type out; only byte pairs have merges. */
const withModelType = (json: unknown): unknown => {
  if (!isTable(json) || !isTable(json['model']) || json['model']['type'] !== undefined) return json
  return { ...json, model: { ...json['model'], type: 'merges' in json['model'] ? 'BPE' : 'WordPiece' } }
}

const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** By hand: a schema would copy a quarter of a million entries. An id far beyond the others would make a list of that length. */
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

/** Characters of a piece: a word costs as many steps for each of its own. */
const longestPiece = 128

/** By hand, as above. @throws Mistake for what is no list of pieces and numbers, and for an unknown piece that is not among them */
export const piecesOf = ({ vocab, unk_id: unknown }: UnigramModel, where: string): ScoredPieces => {
  const pieces: ReadonlyArray<unknown> = Array.isArray(vocab) ? vocab : []
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

/** The character before which Metaspace cuts a text into words; null where it leaves them together, or there is none. */
export const wordMark = ({ pre_tokenizer: cut }: TokenizerFile): string | null => {
  const parts = cut === null ? [] : cut.type === 'Sequence' ? cut.pretokenizers : [cut]
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

const checkMerges = (merges: ReadonlyArray<unknown>, where: string): void => {
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
