/** tokenizer.json and tokenizer_config.json of a model in GGUF, from the keys of its header. */
import { inputError, quoted } from '../../errors/inputError.js'
import { wordPatterns } from '../tokenizer/tokenizerSchema.js'
import type { GgufHeader } from './ggufHeader.js'

/** llama.cpp's numbers of kinds of tokens. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const

type Words = {
  readonly splits: readonly object[]
  readonly normalizer?: object
  readonly whole?: boolean
  readonly addsStart?: boolean
}

const byteLevel = (regex: boolean) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: regex })
const wordsThenBytes = (words: string) => [
  { type: 'Split', pattern: { Regex: words }, behavior: 'Isolated', invert: false },
  byteLevel(false),
]
const digitsThenWords = [{ type: 'Digits', individual_digits: true }, byteLevel(true)]
const llama3 = wordsThenBytes(wordPatterns.llama3)

/**
 * How a text is cut before its bytes are merged, by llama.cpp's names: several of them name one cut. `addsStart`: what llama.cpp does without the key
 * add_bos_token.
 */
const kinds: readonly (Words & { readonly names: readonly string[] })[] = [
  { names: ['gpt-2', 'a.x-4.0', 'mellum'], splits: [byteLevel(true)] },
  { names: ['smollm', 'minerva-7b'], splits: digitsThenWords },
  { names: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'pixtral'], splits: llama3, whole: true, addsStart: true },
  { names: ['smaug-bpe', 'dbrx'], splits: llama3 },
  {
    names: ['qwen2', 'deepseek-r1-qwen', 'megrez'],
    splits: wordsThenBytes(wordPatterns.qwen2),
    normalizer: { type: 'NFC' },
  },
  { names: ['tekken'], splits: wordsThenBytes(wordPatterns.mistralNemo), whole: true, addsStart: true },
  { names: ['gpt-4o'], splits: wordsThenBytes(wordPatterns.gpt4o) },
]

/** Texts of both files. @throws InputError for a tokenizer of another kind, and for lists that do not fit */
export const ggufTokenizer = ({ keys }: GgufHeader, file: string): { readonly tokenizer: object; readonly settings: object } => {
  const strings = (name: string): readonly string[] => readList(keys, `tokenizer.ggml.${name}`, 'string', file)
  const tokens = strings('tokens')
  checkTokens(tokens, file)
  const types = keys.has('tokenizer.ggml.token_type')
    ? readList<number>(keys, 'tokenizer.ggml.token_type', 'number', file)
    : tokens.map(() => 1)
  if (types.length !== tokens.length) throw inputError(file, `token_type of ${tokens.length} tokens`, String(types.length))
  const kind = keys.get('tokenizer.ggml.model')
  if (kind !== 'gpt2' && kind !== 'llama') throw inputError(file, 'tokenizer.ggml.model gpt2 or llama', quoted(String(kind)))
  const table = { tokens, types, ids: new Map(tokens.map((token, id) => [token, id])) }
  const parts = kind === 'gpt2' ? byteParts(keys, table, strings('merges'), file) : pieceParts(keys, table, file)
  const { addsStart, ...components } = parts
  const token = (name: string): string | undefined => tokens[Number(keys.get(`tokenizer.ggml.${name}_token_id`) ?? NaN)]
  const start = (keys.get('tokenizer.ggml.add_bos_token') ?? addsStart) === true ? token('bos') : undefined
  const template = keys.get('tokenizer.chat_template')
  const named = { bos_token: token('bos'), eos_token: token('eos'), unk_token: token('unknown'), pad_token: token('padding') }
  return {
    tokenizer: {
      ...{ version: '1.0', truncation: null, padding: null, added_tokens: addedTokens(table), ...components },
      post_processor: start === undefined ? null : startProcessor(start, table.ids.get(start) ?? 0),
    },
    settings: {
      ...named,
      tokenizer_class: 'PreTrainedTokenizerFast',
      ...(typeof template === 'string' ? { chat_template: template } : {}),
    },
  }
}

type Table = { readonly tokens: readonly string[]; readonly types: readonly number[]; readonly ids: ReadonlyMap<string, number> }
type Parts = { readonly addsStart: boolean; readonly normalizer: object | null; readonly pre_tokenizer: object | null } & Readonly<
  Record<'decoder' | 'model', object>
>

const readList = <T extends string | number>(
  keys: GgufHeader['keys'],
  key: string,
  type: 'string' | 'number',
  file: string,
): readonly T[] => {
  const value = keys.get(key)
  if (!Array.isArray(value) || value.some((one) => typeof one !== type))
    throw inputError(file, `a list of ${type}s in the key ${key}`, value === undefined ? 'none' : 'another value')
  return value as readonly T[]
}

const addedTokens = ({ tokens, types }: Table): readonly object[] =>
  tokens.flatMap((content, id) => {
    const type = types[id]
    if (content === '' || (type !== tokenTypes.control && type !== tokenTypes.userDefined && type !== tokenTypes.unknown)) return []
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: type !== tokenTypes.userDefined }]
  })

/** Characters of a token, and merges that follow from scores. Real files have 1,000 and 100,000. */
const longestToken = 1_000
const mergeLimit = 2_000_000

/** @throws InputError for a token that is very long, or a token twice */
const checkTokens = (tokens: readonly string[], file: string): void => {
  const long = tokens.find(({ length }) => length > longestToken)
  if (long !== undefined) throw inputError(file, `tokens of at most ${longestToken} characters`, `one of ${long.length}`)
  const seen = new Set<string>()
  for (const token of tokens) {
    if (token !== '' && seen.has(token)) throw inputError(file, 'each token once', `${quoted(token)} twice`)
    seen.add(token)
  }
}

/** Every token that a text can have. */
const buildVocabulary = ({ tokens, types }: Table): Readonly<Record<string, number>> =>
  Object.fromEntries(tokens.flatMap((token, id) => (types[id] === tokenTypes.unused || token === '' ? [] : [[token, id] as const])))

const byteParts = (keys: GgufHeader['keys'], table: Table, merges: readonly string[], file: string): Parts => {
  const pre = String(keys.get('tokenizer.ggml.pre') ?? 'default')
  const known = kinds.find(({ names }) => names.includes(pre))
  if (known === undefined) throw inputError(file, `tokenizer.ggml.pre ${kinds.map(({ names: [name] }) => name).join(', ')}`, quoted(pre))
  const { splits, normalizer = null, whole = false, addsStart = false } = known
  const pairs = merges.map((merge) => {
    const at = merge.indexOf(' ', 1) // a token may begin with a blank
    return [merge.slice(0, at), merge.slice(at + 1)]
  })
  return {
    addsStart,
    normalizer,
    pre_tokenizer: splits.length === 1 ? (splits[0] ?? null) : { type: 'Sequence', pretokenizers: splits },
    decoder: { ...byteLevel(true), add_prefix_space: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: whole,
      vocab: buildVocabulary(table),
      merges: pairs,
    },
  }
}

/** LLaMA 2's kind. The merges are all pairs of tokens whose text is a token, those of higher scores first. */
const pieceParts = (keys: GgufHeader['keys'], table: Table, file: string): Parts => {
  const scores = readList<number>(keys, 'tokenizer.ggml.scores', 'number', file)
  if (scores.length !== table.tokens.length) throw inputError(file, `scores of ${table.tokens.length} tokens`, String(scores.length))
  const vocab = buildVocabulary(table)
  const isMerged = (id: number): boolean => table.types[id] === tokenTypes.normal || table.types[id] === tokenTypes.userDefined
  const order = [...table.tokens.keys()].filter(isMerged).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b)
  const merges: (readonly [string, string])[] = []
  for (const id of order) {
    for (const pair of splitToken(table.tokens[id] ?? '', vocab)) merges.push(pair)
    if (merges.length > mergeLimit) throw inputError(file, `tokens of at most ${mergeLimit} merges`, 'more')
  }
  const prefix = keys.get('tokenizer.ggml.add_space_prefix') !== false
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
  const unknown = table.tokens[table.types.indexOf(tokenTypes.unknown)] ?? null
  return {
    addsStart: true,
    normalizer: prefix ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '▁' }, replace] } : replace,
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []),
      ],
    },
    model: { type: 'BPE', dropout: null, unk_token: unknown, fuse_unk: true, byte_fallback: true, ignore_merges: false, vocab, merges },
  }
}

const splitToken = (token: string, vocab: Readonly<Record<string, number>>): readonly (readonly [string, string])[] =>
  Array.from({ length: Math.max(0, token.length - 1) }, (_, i) => [token.slice(0, i + 1), token.slice(i + 1)] as const).filter(
    ([left, right]) => Object.hasOwn(vocab, left) && Object.hasOwn(vocab, right),
  )

const startProcessor = (start: string, id: number): object => {
  const special = { SpecialToken: { id: start, type_id: 0 } }
  const text = (name: 'A' | 'B') => ({ Sequence: { id: name, type_id: 0 } })
  return {
    type: 'TemplateProcessing',
    single: [special, text('A')],
    pair: [special, text('A'), special, text('B')],
    special_tokens: { [start]: { id: start, ids: [id], tokens: [start] } },
  }
}
