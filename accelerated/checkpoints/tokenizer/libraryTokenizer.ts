/**
 * The tokenizer of @huggingface/tokenizers 0.2.0, with our parts in place of some of its own:
 * - Its unigram model takes seconds and a quarter of a gigabyte to open, and memory in proportion to a text. → sentencePiece.ts
 * - Its Precompiled normalizer ignores the file's table and normalizes by Unicode (NFKC). → sentencePiece.ts
 * - Its byte-pair model caches 10,000 words, which costs more than it saves for data with more words. → prefixTokenizer.ts
 * - It cuts words, strips blanks and lowercases as JavaScript does. → preTokenizers.ts, normalizers.ts
 * - Its decoders drop U+FEFF.
 * - Its ByteLevel post-processor loses the second of two texts. That post-processor changes only offsets, so it is left out.
 */
import * as library from '@huggingface/tokenizers'
import { InputError, inputError, reason } from '../../errors/inputError.js'
import { precompiledNormalizer, type Normalize, unigram, type ScoredPieces } from './sentencePiece.js'
import { parsePieces, wordMark, type TokenizerFile, type UnigramModel } from './tokenizerFile.js'
import { strip } from './pythonBlanks.js'

/** The parts of the library that we use. Its own declarations import files without their extension, which Node's resolution does not find. */
type LibraryModel = {
  vocab: string[]
  tokens_to_ids: Map<string, number>
  unk_token_id?: number
  readonly encode: (words: readonly string[]) => string[]
}
type NormalizerConfig = { readonly lowercase?: boolean | null; readonly strip_left?: boolean | null; readonly strip_right?: boolean | null }
type LibraryNormalizer = { readonly config: NormalizerConfig; readonly normalize: (text: string) => string }
type LibraryPreTokenizer = { readonly tokenizers?: readonly LibraryPreTokenizer[]; pattern?: RegExp }
type LibraryDecoder = { readonly decoders?: readonly LibraryDecoder[]; text_decoder?: object }
export type LibraryTokenizer = {
  model: LibraryModel
  readonly pre_tokenizer: LibraryPreTokenizer | null
  readonly decoder: LibraryDecoder | null
  normalizer: LibraryNormalizer | null
  readonly encode: (
    text: string,
    options: { readonly text_pair?: string; readonly add_special_tokens: boolean },
  ) => { readonly ids: readonly number[] }
  readonly decode: (
    ids: readonly number[],
    options: { readonly skip_special_tokens: boolean; readonly clean_up_tokenization_spaces: boolean },
  ) => string
  readonly id_to_token: (id: number) => string | undefined
  /** cuts a text at the added tokens that are looked for before it is normalized */
  readonly splitter_unnormalized: { readonly split: (text: string) => readonly string[] }
}
const {
  BPE,
  BertNormalizer,
  ByteLevelPreTokenizer,
  LowercaseNormalizer,
  Model,
  Normalizer,
  PrecompiledNormalizer,
  SequenceNormalizer,
  StripNormalizer,
  Tokenizer,
} = library as unknown as {
  readonly Tokenizer: new (file: object, settings: object) => LibraryTokenizer
  readonly Model: new (config: object) => Omit<LibraryModel, 'encode'>
  readonly BertNormalizer: new (config: object) => LibraryNormalizer & { tokenize_chinese_chars: Normalize }
  readonly ByteLevelPreTokenizer: new (config: object) => LibraryPreTokenizer
  readonly LowercaseNormalizer: new (config: object) => LibraryNormalizer
  readonly StripNormalizer: new (config: object) => LibraryNormalizer
  readonly BPE: new (config: object) => LibraryModel & { max_length_to_cache: number }
  readonly Normalizer: new (config: NormalizerConfig) => Omit<LibraryNormalizer, 'normalize'>
  readonly PrecompiledNormalizer: new (config: object) => LibraryNormalizer & { readonly charsmap: string }
  readonly SequenceNormalizer: new (config: object) => LibraryNormalizer & { normalizers: Array<LibraryNormalizer | null> }
}

/** @param settings those of tokenizer_config.json that change ids @throws InputError if the library refuses the file */
export const libraryTokenizer = (file: TokenizerFile, settings: object, where: string): LibraryTokenizer => {
  const { model } = file
  try {
    const tokenizer = new Tokenizer(
      {
        ...file,
        model: model.type === 'Unigram' ? emptyModel : model,
        pre_tokenizer: unicodePreTokenizer(file.pre_tokenizer),
        post_processor: withoutByteLevel(file.post_processor),
      },
      settings,
    )
    for (const part of listParts(tokenizer.pre_tokenizer)) if (part instanceof ByteLevelPreTokenizer) part.pattern = bytesWords
    for (const part of tokenizer.decoder?.decoders ?? [tokenizer.decoder]) if (part?.text_decoder !== undefined) part.text_decoder = utf8
    if (tokenizer.model instanceof BPE) tokenizer.model.max_length_to_cache = 0
    if (model.type === 'Unigram') tokenizer.model = unigramModel(model, file, where)
    tokenizer.normalizer = asInRust(tokenizer.normalizer, where)
    return tokenizer
  } catch (thrown) {
    throw thrown instanceof InputError ? thrown : inputError(where, 'a tokenizer that @huggingface/tokenizers supports', reason(thrown))
  }
}

/** Keeps U+FEFF, which a decoder otherwise drops from the start of each run of bytes. */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

const listParts = (preTokenizer: LibraryPreTokenizer | null): readonly LibraryPreTokenizer[] =>
  preTokenizer === null ? [] : (preTokenizer.tokenizers ?? [preTokenizer])

/** Takes the place of a unigram model while the library constructs the rest. */
const emptyModel = { type: 'WordPiece', unk_token: '', vocab: {} }

const withoutByteLevel = (processor: TokenizerFile['post_processor']): TokenizerFile['post_processor'] =>
  processor?.type === 'ByteLevel' ? null : processor

class OwnUnigram extends Model {
  private readonly segment: (words: readonly string[]) => readonly string[]

  constructor(pieces: ScoredPieces, unknown: number, mark: string | null) {
    super({})
    this.segment = unigram(pieces, unknown, mark)
    this.vocab = pieces.map(([piece]) => piece)
    this.tokens_to_ids = new Map(this.vocab.map((piece, id) => [piece, id]))
    this.unk_token_id = unknown
  }

  encode(words: readonly string[]): string[] {
    return [...this.segment(words)]
  }
}

/** With the added tokens, as the library's constructor registers them with a model of its own. */
const unigramModel = (model: UnigramModel, file: TokenizerFile, where: string): LibraryModel => {
  const ours = new OwnUnigram(parsePieces(model, where), model.unk_id, wordMark(file))
  for (const { id, content } of file.added_tokens) {
    ours.tokens_to_ids.set(content, id)
    ours.vocab[id] = content
  }
  return ours
}

class OwnNormalizer extends Normalizer {
  private readonly own: Normalize

  constructor(config: NormalizerConfig, own: Normalize) {
    super(config)
    this.own = own
  }

  normalize(text: string): string {
    return this.own(text)
  }
}

/** The normalizer, with parts that do what Hugging Face's library in Rust does. */
const asInRust = (normalizer: LibraryNormalizer | null, where: string): LibraryNormalizer | null => {
  if (normalizer instanceof PrecompiledNormalizer)
    return new OwnNormalizer(normalizer.config, precompiledNormalizer(normalizer.charsmap, where))
  if (normalizer instanceof LowercaseNormalizer) return new OwnNormalizer(normalizer.config, lowercase)
  if (normalizer instanceof StripNormalizer) {
    const { strip_left: left, strip_right: right } = normalizer.config
    return new OwnNormalizer(normalizer.config, (text) => strip(text, { left: left === true, right: right === true }, isWhiteSpace))
  }
  if (normalizer instanceof BertNormalizer) {
    normalizer.tokenize_chinese_chars = spacedChinese
    const prepared = normalizer.config.lowercase === true ? withoutFinalSigma : (text: string): string => text
    return new OwnNormalizer(normalizer.config, (text) => normalizer.normalize(prepared(text)))
  }
  if (normalizer instanceof SequenceNormalizer) {
    const parts = normalizer.normalizers.flatMap((part) => asInRust(part, where) ?? [])
    return new OwnNormalizer(normalizer.config, (text) =>
      parts.reduce((normalized, part) => within(part.normalize(normalized), text, where), text),
    )
  }
  return normalizer
}

/** A normalized text may be this many times as long as its text, and this much longer besides. One Arabic character has 18 in NFKC. */
const [longestMultiple, longestAddition] = [32, 1_000]

/** @throws InputError if `normalized` is too long for `text` */
const within = (normalized: string, text: string, where: string): string => {
  const most = longestMultiple * text.length + longestAddition
  if (normalized.length <= most) return normalized
  throw inputError(where, `a normalizer that makes at most ${most} characters of ${text.length}`, `${normalized.length}`)
}

/**
 * What Hugging Face's tokenizers do to a text before it is cut, where the library does it as JavaScript does.
 * The blocks of Chinese characters that BERT's normalizer puts blanks around. The library misses those of two UTF-16 units.
 */
const chinese = /[\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{2F800}-\u{2FA1F}]/gu

const spacedChinese = (text: string): string => text.replaceAll(chinese, ' $& ')

/** Lowercases each letter alone. JavaScript makes ς of a Σ that ends a word; Hugging Face's tokenizers make σ of every Σ. */
const lowercase = (text: string): string => withoutFinalSigma(text).toLowerCase()

const withoutFinalSigma = (text: string): string => text.replaceAll('Σ', 'σ')

/** Whether Unicode counts a character as white space. JavaScript's trim also takes U+FEFF, and leaves U+0085. */
const isWhiteSpace = (character: string): boolean => /\p{White_Space}/u.test(character)

/**
 * Where a text is cut into words, as Hugging Face's tokenizers cut it: by Unicode. The library's own cuts are JavaScript's. Its \s has U+FEFF and
 * lacks U+0085. Its \d has ten digits, and its \w no letter outside ASCII.
 */
type PreTokenizer = NonNullable<TokenizerFile['pre_tokenizer']>
type Part = Exclude<PreTokenizer, { readonly type: 'Sequence' }>

const [letters, punctuation] = [
  '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}',
  '\\p{P}\\u0021-\\u002F\\u003A-\\u0040\\u005B-\\u0060\\u007B-\\u007E',
]

/** GPT-2's words, whose bytes a ByteLevel takes. */
const bytesWords =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu

/** The words that these parts leave of a text. */
const words: Readonly<Partial<Record<Part['type'], (part: Part) => string>>> = {
  BertPreTokenizer: () => `[^\\s${punctuation}]+|[${punctuation}]`,
  Digits: (part) => `[^\\p{N}]+|\\p{N}${'individual_digits' in part && part.individual_digits === true ? '' : '+'}`,
  Whitespace: () => `[${letters}]+|[^${letters}\\s]+`,
  WhitespaceSplit: () => '\\S+',
}

const byUnicode = (part: Part): object => {
  const Regex = words[part.type]?.(part)
  return Regex === undefined ? part : { type: 'Split', pattern: { Regex }, behavior: 'Removed', invert: true }
}

/** The file's pre-tokenizer, whose cuts the library makes by Unicode. */
const unicodePreTokenizer = (preTokenizer: TokenizerFile['pre_tokenizer']): object | null => {
  if (preTokenizer === null) return null
  return preTokenizer.type === 'Sequence'
    ? { type: 'Sequence', pretokenizers: preTokenizer.pretokenizers.map(byUnicode) }
    : byUnicode(preTokenizer)
}
