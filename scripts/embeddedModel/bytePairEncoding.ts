/**
 * Byte-level byte-pair encoding, learned from word counts.
 *
 * GPT-2's pattern cuts the text into words. Each byte of a word becomes one printable character. Training repeatedly merges the most
 * frequent adjacent pair (Sennrich et al. 2016; bytes as in Radford et al. 2019). No text has unknown tokens.
 */

/** RoBERTa's special tokens in RoBERTa's order; `<mask>` comes last in the vocabulary. */
export const LEADING_SPECIAL_TOKENS = ['<s>', '<pad>', '</s>', '<unk>'] as const
export const MASK_TOKEN = '<mask>'
const SPECIAL_TOKENS: ReadonlySet<string> = new Set([...LEADING_SPECIAL_TOKENS, MASK_TOKEN])

export type Merge = readonly [left: string, right: string]

export type BytePairEncoding = {
  /** Every token, special ones included; a token's id is its index. Ordinary tokens are written in printable characters. */
  readonly tokens: readonly string[]
  /** The merges, in the order in which they apply. */
  readonly merges: readonly Merge[]
}

/** GPT-2's pre-tokenization: contractions, then letters, numbers or signs with at most one space in front, then other blanks. */
const WORD = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu

/** Cuts a text into words whose concatenation is the text. */
export const splitWords = (text: string): readonly string[] => text.match(WORD) ?? []

const isPrintable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)

const ALL_BYTES = Array.from({ length: 256 }, (_, byte) => byte)
const PRINTABLE_BYTES = ALL_BYTES.filter(isPrintable)
const OTHER_BYTES = ALL_BYTES.filter((byte) => !isPrintable(byte))

/** [byte, character]: a printable byte maps to itself, the n-th other byte to the code point 256 + n. */
const BYTE_CHARACTERS: readonly (readonly [number, string])[] = [
  ...PRINTABLE_BYTES.map((byte) => [byte, String.fromCodePoint(byte)] as const),
  ...OTHER_BYTES.map((byte, n) => [byte, String.fromCodePoint(256 + n)] as const),
]
const CHARACTER_OF_BYTE: ReadonlyMap<number, string> = new Map(BYTE_CHARACTERS)

/** The 256 byte tokens, in the order of their ids. */
export const BYTE_TOKENS: readonly string[] = BYTE_CHARACTERS.map(([, character]) => character)

/** The UTF-8 bytes of a text, one printable character each. */
export const toPrintable = (text: string): string =>
  Array.from(new TextEncoder().encode(text), (byte) => CHARACTER_OF_BYTE.get(byte)).join('')

/** How often each word occurs in the lines. */
export const countWords = (lines: Iterable<string>): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const line of lines) for (const word of splitWords(line)) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}

/** Two symbols below 2^20 as one key, ordered by the left symbol, then by the right one. */
const pairKey = (left: number, right: number): number => left * 0x100000 + right

/** The symbols with every `left right`, read from the left, replaced by `merged`. */
const replacePair = (symbols: readonly number[], left: number, right: number, merged: number): readonly number[] => {
  const replaced: number[] = []
  for (let i = 0; i < symbols.length; i += 1) {
    const symbol = symbols[i] as number
    const matches = symbol === left && symbols[i + 1] === right
    replaced.push(matches ? merged : symbol)
    if (matches) i += 1
  }
  return replaced
}

/**
 * Learns a vocabulary of `size` tokens: 4 special tokens, 256 bytes, the merged tokens, `<mask>`.
 *
 * Each step merges the most frequent pair; among equals, the one whose left, then right, symbol is the oldest. Training ends early,
 * with fewer tokens, if no pair occurs twice. Each merge recounts only the words that contain its pair.
 */
export const trainBytePairEncoding = (wordCounts: ReadonlyMap<string, number>, size: number): BytePairEncoding => {
  const smallest = LEADING_SPECIAL_TOKENS.length + BYTE_TOKENS.length + 1
  if (size < smallest) throw new Error(`trainBytePairEncoding: expected size >= ${smallest}, actual ${size}`)
  const symbolTexts = [...BYTE_TOKENS]
  const symbolOf = new Map(symbolTexts.map((text, symbol) => [text, symbol]))
  const counted = [...wordCounts]
  const words = counted.map(([word]): readonly number[] => Array.from(toPrintable(word), (c) => symbolOf.get(c) as number))
  const pairCounts = new Map<number, number>()
  const wordsWithPair = new Map<number, Set<number>>()

  const addPairs = (word: number, sign: 1 | -1): void => {
    const symbols = words[word] as readonly number[]
    const count = sign * (counted[word]?.[1] as number)
    for (let i = 0; i + 1 < symbols.length; i += 1) {
      const key = pairKey(symbols[i] as number, symbols[i + 1] as number)
      const total = (pairCounts.get(key) ?? 0) + count
      if (total === 0) {
        pairCounts.delete(key)
        wordsWithPair.delete(key)
        continue
      }
      pairCounts.set(key, total)
      if (sign === 1) (wordsWithPair.get(key) ?? wordsWithPair.set(key, new Set()).get(key))?.add(word)
    }
  }
  words.forEach((_, word) => addPairs(word, 1))

  const merges: Merge[] = []
  const forbidden = new Set<number>()
  while (symbolTexts.length < size - LEADING_SPECIAL_TOKENS.length - 1) {
    let best = -1
    let bestCount = 1
    for (const [key, count] of pairCounts)
      if ((count > bestCount || (count === bestCount && best >= 0 && key < best)) && !forbidden.has(key)) [best, bestCount] = [key, count]
    if (best < 0) break
    const left = Math.floor(best / 0x100000)
    const right = best % 0x100000
    const merge = [symbolTexts[left] as string, symbolTexts[right] as string] as const
    const text = merge[0] + merge[1]
    if (SPECIAL_TOKENS.has(text)) {
      // A literal `<s>` in the corpus must stay several tokens: its id is that of the special token.
      forbidden.add(best)
      continue
    }
    merges.push(merge)
    // Two merges may produce the same text; it stays one token.
    const merged = symbolOf.get(text) ?? symbolTexts.push(text) - 1
    symbolOf.set(text, merged)
    for (const word of [...(wordsWithPair.get(best) ?? [])]) {
      const replaced = replacePair(words[word] as readonly number[], left, right, merged)
      addPairs(word, -1)
      words[word] = replaced
      addPairs(word, 1)
    }
  }
  return { tokens: [...LEADING_SPECIAL_TOKENS, ...symbolTexts, MASK_TOKEN], merges }
}

// Writes a byte-pair encoding as the Hugging Face files `tokenizer.json`, `tokenizer_config.json`, `special_tokens_map.json`.
/** The maximum tokens of an input of the embedded model. */
const MODEL_MAX_LENGTH = 256

const TOKENS_BY_ROLE = {
  bos_token: '<s>',
  eos_token: '</s>',
  unk_token: '<unk>',
  sep_token: '</s>',
  pad_token: '<pad>',
  cls_token: '<s>',
  mask_token: { content: MASK_TOKEN, lstrip: true, rstrip: false, normalized: false, single_word: false },
}

/** `tokenizer.json`: pairs become `<s> A </s></s> B </s>`, and `<mask>` includes the blank before it, both as in RoBERTa. */
export const tokenizerJson = ({ tokens, merges }: BytePairEncoding): object => ({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [...LEADING_SPECIAL_TOKENS, MASK_TOKEN].map((content) => ({
    id: tokens.lastIndexOf(content),
    content,
    single_word: false,
    lstrip: content === MASK_TOKEN,
    rstrip: false,
    normalized: false,
    special: true,
  })),
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 0], trim_offsets: true, add_prefix_space: false },
  decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: '',
    end_of_word_suffix: '',
    fuse_unk: false,
    byte_fallback: false,
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges: merges.map((merge) => merge.join(' ')),
  },
})

/** `tokenizer_config.json`. */
export const tokenizerConfigJson = (): object => ({
  tokenizer_class: 'RobertaTokenizer',
  model_max_length: MODEL_MAX_LENGTH,
  add_prefix_space: false,
  errors: 'replace',
  clean_up_tokenization_spaces: false,
  ...TOKENS_BY_ROLE,
  mask_token: MASK_TOKEN,
})

/** `special_tokens_map.json`. */
export const specialTokensMapJson = (): object => TOKENS_BY_ROLE
