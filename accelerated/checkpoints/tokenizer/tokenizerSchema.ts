/**
 * The schema of a tokenizer.json: the components that supported families have, within bounds. Only components whose time is linear in the text
 * pass: no regular expressions but known ones, and only short replacements.
 */
import { z } from 'zod'

/** The regular expressions for words that the supported families' tokenizer.json files have. A file's own expressions never run. */
const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const rest = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const wordsByKind = (digits: string): string =>
  `${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${rest}`
const [upper, lower] = ['[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]', '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]']
const wordsByCase = (end: string, digits: string): string =>
  [`${upper}*${lower}+`, `${upper}+${lower}*`].map((word) => `[^\\r\\n\\p{L}\\p{N}]?${word}${end}`).join('|') +
  `|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${rest}`

export const wordPatterns = {
  llama3: wordsByKind('\\p{N}{1,3}'),
  qwen2: wordsByKind('\\p{N}'),
  mistralNemo: wordsByCase('', '\\p{N}'),
  gpt4o: wordsByCase(`${contraction}?`, '\\p{N}{1,3}'),
} as const

const word = z.string().max(1_000)
/** A replacement, which must not make a long text of a short one. */
const short = z.string().max(8)
const flag = z.boolean().nullish()
const part = <T extends string>(type: T) => z.object({ type: z.literal(type) })
const id = z.int().min(0)
const anchor = z.tuple([word, id])

/** The expressions by which SentencePiece and DeBERTa replace several blanks by one. */
const blankPatterns = [' {2,}', '\\s{2,}|[\\n\\r\\t]']

const wordPatternNames = 'Llama 3, Qwen2, Mistral NeMo and GPT-4o'

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
    pattern: z.union([z.strictObject({ String: short.min(1) }), z.strictObject({ Regex: z.enum(blankPatterns) })]),
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
  // the only behavior that the library has
  part('Punctuation').extend({ behavior: z.literal('Contiguous') }),
  part('Digits').extend({ individual_digits: flag }),
  part('Metaspace').extend({
    replacement: word.length(1),
    add_prefix_space: flag,
    prepend_scheme: z.enum(['always', 'never', 'first']).nullish(),
    split: flag,
  }),
  // known expressions match every character, so that nothing is left to remove
  part('Split')
    .extend({
      pattern: z.strictObject({ Regex: z.enum(Object.values(wordPatterns), { error: `one of the patterns of ${wordPatternNames}` }) }),
      behavior: z.enum(['Isolated', 'Removed']),
      invert: flag,
    })
    .refine(({ behavior, invert }) => (behavior === 'Removed') === (invert === true), {
      error: 'a cut with behavior Isolated, or Removed with invert',
    }),
] as const
/** Gemma's: a cut at blanks. Its normalizer leaves none (parseTokenizerFile). */
export const blankSplit = part('Split').extend({
  pattern: z.strictObject({ String: z.literal(' ') }),
  behavior: z.literal('MergedWithPrevious'),
  invert: z.literal(false).nullish(),
})
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

type Component = {
  readonly type: string
  readonly pattern?: { readonly String?: string; readonly Regex?: string }
  readonly content?: string
}

/** All replacements of a sequence may make a text this many times as long. No more than two of its components may expand bytes. */
const [longestGrowth, mostExpanding] = [64, 2]
const expanding = new Set(['Precompiled', 'ByteLevel', 'Metaspace'])
const growth = ({ type, pattern, content = '' }: Component): number =>
  type === 'Replace' ? Math.max(1, content.length / (pattern?.String?.length ?? 1)) : 1

/** A list of components whose growths do not multiply: sixteen replacements of one character by eight would make 8^16 of it. */
const sequenceSchema = <T extends z.ZodType<Component>>(component: T) =>
  z
    .array(component)
    .max(inSequence)
    .refine((parts) => parts.reduce((product, part) => product * growth(part), 1) <= longestGrowth, {
      error: `a list of replacements that make a text at most ${longestGrowth} times as long`,
    })
    .refine((parts) => parts.filter(({ type }) => expanding.has(type)).length <= mostExpanding, {
      error: `a list with at most ${mostExpanding} of ${[...expanding].join(', ')}`,
    })

export const decoderSchema = z
  .discriminatedUnion('type', [...decoders, part('Sequence').extend({ decoders: sequenceSchema(z.discriminatedUnion('type', decoders)) })])
  .nullable()
  .default(null)

export const tokenizerSchema = z.object({
  added_tokens: z
    .array(z.object({ id, content: word.min(1), single_word: flag, lstrip: flag, rstrip: flag, normalized: flag, special: flag }))
    .max(100_000)
    .nullish(),
  normalizer: z
    .discriminatedUnion('type', [
      ...normalizers,
      part('Sequence').extend({ normalizers: sequenceSchema(z.discriminatedUnion('type', normalizers)) }),
    ])
    .nullable()
    .default(null),
  pre_tokenizer: z
    .discriminatedUnion('type', [
      ...preTokenizers,
      part('Sequence').extend({ pretokenizers: sequenceSchema(z.discriminatedUnion('type', preTokenizers)) }),
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
      // the time for a word grows with the square of its length
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

export type TokenizerJson = z.infer<typeof tokenizerSchema>
export type DecoderJson = z.infer<typeof decoderSchema>
