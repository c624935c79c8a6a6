/**
 * Ids of a text's first tokens at a cost that follows the tokens asked for, not the text: a long text is cut before it is tokenized, and words met
 * before are looked up. The ids are those of the whole text.
 */
import type { TokenizerFile } from './tokenizerFile.js'
import { WordCache } from './wordCache.js'

export type Tokenize = (text: string) => ReadonlyArray<number>

/** Of a text's tokens, at least the first `most` if it has as many; tokens after them may be missing. */
export type TokenizePrefix = (text: string, most: number) => ReadonlyArray<number>

/** Tokens between those that are used and a cut: what is cut off changes tokens next to the cut, not those. */
const slack = 128

export const prefixTokenizer = (idsOf: Tokenize, file: TokenizerFile, settings: object): TokenizePrefix => {
  const longest = longestToken(file)
  const plain = wordsAreApart(file, settings) ? wordByWord(idsOf, file) : idsOf
  const ids: TokenizePrefix = (text, most) => {
    // A token stands for at most `longest` characters, unless it is an unknown word: then more is read.
    for (let length = (most + slack) * longest; length < text.length; length *= 8) {
      const found = plain(text.slice(0, length), most + slack)
      if (found.length >= most + slack) return found.slice(0, most)
    }
    return plain(text, most)
  }
  return ids
}

const longestToken = ({ model: { vocab }, added_tokens: added }: TokenizerFile): number => {
  let longest = 16
  const tokens = Array.isArray(vocab) ? (vocab as ReadonlyArray<readonly [string]>).map(([token]) => token) : Object.keys(vocab as object)
  for (const token of tokens) longest = Math.max(longest, token.length)
  for (const { content } of added as ReadonlyArray<{ readonly content: string }>) longest = Math.max(longest, content.length)
  return longest
}

/** Pre-tokenizers that cut at every space, whatever stands around it. */
const atSpaces = ['BertPreTokenizer', 'Whitespace', 'WhitespaceSplit']
/** Normalizers under which what stands on one side of a space changes nothing on the other. */
const local = ['BertNormalizer', 'Lowercase', 'StripAccents', 'NFC', 'NFD', 'NFKC', 'NFKD', 'Precompiled']

type Part = { readonly type: string }

/** Whether a text's tokens are those of its words, one after another. */
const wordsAreApart = ({ normalizer, pre_tokenizer: cut, model, added_tokens: added }: TokenizerFile, settings: object): boolean => {
  const parts = normalizer === null ? [] : normalizer.type === 'Sequence' ? (normalizer.normalizers as ReadonlyArray<Part>) : [normalizer]
  const first = cut?.type === 'Sequence' ? (cut.pretokenizers as ReadonlyArray<Part>)[0] : cut
  const cutsAtSpaces = atSpaces.includes(first?.type ?? '') || (cut?.type === 'ByteLevel' && cut.use_regex !== false)
  const fuses = model.type === 'BPE' && model.fuse_unk === true // unknown words next to each other become one token
  const tokens = added as ReadonlyArray<{ readonly normalized?: boolean | null }>
  return (
    cutsAtSpaces &&
    !fuses &&
    parts.every(({ type }) => local.includes(type)) &&
    tokens.length <= 1_000 &&
    (normalizer === null || tokens.every(({ normalized }) => normalized !== true)) &&
    Object.values(settings).every((value) => value !== true)
  )
}

/** Cuts before each space that has a character on both sides: byte pairs take such a space with the word after it. */
const wordByWord = (idsOf: Tokenize, { pre_tokenizer: cut, added_tokens: added }: TokenizerFile): TokenizePrefix => {
  const special = new RegExp(
    (added as ReadonlyArray<{ readonly content: string }>).map(({ content }) => escaped(content)).join('|') || '(?!)',
  )
  const keepsSpace = cut?.type === 'ByteLevel'
  const [first, other] = [new WordCache(), new WordCache()] // a first word may be given a space of its own
  return (text, most) => {
    if (special.test(text)) return idsOf(text)
    const ids: number[] = []
    let start = 0
    while (ids.length < most && start < text.length) {
      const end = nextWord(text, start + 1)
      ;(start === 0 ? first : other).append(text, start, end, ids, idsOf)
      start = keepsSpace ? end : end + 1
    }
    return ids
  }
}

/** The next space from `from` on between two characters that are no blanks, or the text's end. */
const nextWord = (text: string, from: number): number => {
  for (let at = text.indexOf(' ', from); at !== -1; at = text.indexOf(' ', at + 1))
    if (at + 1 < text.length && !isBlank(text, at - 1) && !isBlank(text, at + 1)) return at
  return text.length
}

const isBlank = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at)
  return code < 128 ? code === 32 || (code >= 9 && code <= 13) : /\s/.test(text.charAt(at))
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
