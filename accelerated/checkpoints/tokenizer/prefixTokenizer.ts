/**
 * The ids of a text's first tokens, at a cost in proportion to those tokens and not to the text. A long text is cut before it is tokenized, and
 * words are cached. The ids are those of the whole text.
 */
import type { TokenizerFile } from './tokenizerFile.js'

type Tokenize = (text: string) => readonly number[]

/** At least the first `most` tokens of a text, if it has that many. Later tokens may be missing. */
export type TokenizePrefix = (text: string, most: number) => readonly number[]

/** Tokens between the last used one and the cut, which changes only tokens near it. */
const slack = 128

export const prefixTokenizer = (tokenizeText: Tokenize, file: TokenizerFile, settings: object): TokenizePrefix => {
  const longest = longestToken(file)
  const tokenize = isWordByWord(file, settings) ? wordByWord(tokenizeText, file) : tokenizeText
  return (text, most) => {
    // A token has at most `longest` characters. Only an unknown word can have more, and then more text is read.
    for (let length = (most + slack) * longest; length < text.length; length *= 8) {
      const ids = tokenize(text.slice(0, length), most + slack)
      if (ids.length >= most + slack) return ids.slice(0, most)
    }
    return tokenize(text, most)
  }
}

const longestToken = ({ model: { vocab }, added_tokens: added }: TokenizerFile): number => {
  let longest = 16
  const tokens = Array.isArray(vocab) ? (vocab as readonly (readonly [string])[]).map(([token]) => token) : Object.keys(vocab as object)
  for (const token of tokens) longest = Math.max(longest, token.length)
  for (const { content } of added) longest = Math.max(longest, content.length)
  return longest
}

/** Pre-tokenizers that cut at every space, whatever is around it. */
const atSpaces = ['BertPreTokenizer', 'Whitespace', 'WhitespaceSplit']
/** Normalizers that treat the text on each side of a space independently. */
const local = ['BertNormalizer', 'Lowercase', 'StripAccents', 'NFC', 'NFD', 'NFKC', 'NFKD', 'Precompiled']

type Part = { readonly type: string; readonly use_regex?: boolean | null }

/** Whether byte pairs cut before each space: by GPT-2's expression, also behind a cut at digits, or by the known ones of a Split. */
const cutsBeforeSpaces = (parts: readonly Part[]): boolean => {
  const [last, first] = [parts.at(-1), parts.slice(0, -1)]
  if (last?.type !== 'ByteLevel') return false
  if (last.use_regex === false) return first.length > 0 && first.every(({ type }) => type === 'Split')
  return first.every(({ type }) => type === 'Digits')
}

const listParts = (component: object | null, list: 'normalizers' | 'pretokenizers'): readonly Part[] => {
  if (component === null) return []
  const parts = (component as Readonly<Record<typeof list, readonly Part[] | undefined>>)[list]
  return parts ?? [component as Part]
}

/** Whether the tokens of a text are those of its words, one after another. */
const isWordByWord = ({ normalizer, pre_tokenizer: cut, model, added_tokens: added }: TokenizerFile, settings: object): boolean => {
  const cuts = listParts(cut, 'pretokenizers')
  const fuses = model.type === 'BPE' && model.fuse_unk === true // adjacent unknown words become one token
  return (
    (atSpaces.includes(cuts[0]?.type ?? '') || cutsBeforeSpaces(cuts)) &&
    !fuses &&
    listParts(normalizer, 'normalizers').every(({ type }) => local.includes(type)) &&
    added.length <= 1_000 &&
    (normalizer === null || added.every(({ normalized }) => normalized !== true)) &&
    Object.values(settings).every((value) => value !== true)
  )
}

/** Cuts at added tokens, and at each space between two characters. Byte pairs keep this space with the word after it. */
const wordByWord = (tokenizeText: Tokenize, { pre_tokenizer: cut, added_tokens: added }: TokenizerFile): TokenizePrefix => {
  const contents = added.map(({ content }) => content).sort((a, b) => b.length - a.length)
  const special = new RegExp(contents.map(escaped).join('|') || '(?!)', 'g')
  const changesOthers = added.some(({ lstrip, rstrip, single_word }) => lstrip === true || rstrip === true || single_word === true)
  const keepsSpace = cutsBeforeSpaces(listParts(cut, 'pretokenizers'))
  const [first, other] = [new WordCache(), new WordCache()] // the first word may get a space before it
  const append = (text: string, most: number, ids: number[]): void => {
    let start = 0
    while (ids.length < most && start < text.length) {
      const end = nextWord(text, start + 1)
      ;(start === 0 ? first : other).append(text, start, end, ids, tokenizeText)
      start = keepsSpace ? end : end + 1
    }
  }
  return (text, most) => {
    const ids: number[] = []
    let from = 0
    for (const { index, 0: token } of text.matchAll(special)) {
      if (changesOthers) return tokenizeText(text)
      append(text.slice(from, index), most, ids)
      if (ids.length >= most) return ids
      for (const id of tokenizeText(token)) ids.push(id)
      from = index + token.length
    }
    append(from === 0 ? text : text.slice(from), most, ids)
    return ids
  }
}

/** The next space from `from` on that is between two non-blank characters; the text's end if there is none. */
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

/** Words of at most 24 characters and 8 ids. Longer ones are not cached. */
const [ways, longestWord, mostIds] = [4, 24, 8]
/** 2¹⁷ words in 13 MB. A file of texts may have few: the cache grows to its full size, once, at the 513th. */
const [setBits, firstBits, fewWords] = [15, 9, 512]

const newTable = (bits: number) => {
  const entries = ways * 2 ** bits
  return {
    sets: 2 ** bits,
    characters: new Uint16Array(entries * longestWord),
    lengths: new Uint8Array(entries),
    hashes: new Int32Array(entries),
    ids: new Int32Array(entries * mostIds),
    counts: new Uint8Array(entries),
    /** the clock at an entry's last use */
    used: new Float64Array(entries),
  }
}
type Table = ReturnType<typeof newTable>

/** The first entry of a hash's set. */
const firstWay = ({ sets }: Table, hash: number): number => ways * ((hash ^ (hash >>> setBits)) & (sets - 1))

export class WordCache {
  private table = newTable(firstBits)
  private words = 0
  private clock = 0

  /** Appends the ids of `text` from `start` to `end` to `into`. `tokenizeText` computes those of a word that is not cached. */
  append(text: string, start: number, end: number, into: number[], tokenizeText: (word: string) => readonly number[]): void {
    const length = end - start
    if (length > longestWord) {
      for (const id of tokenizeText(text.slice(start, end))) into.push(id)
      return
    }
    let hash = 0x811c9dc5 ^ length // FNV-1a over characters
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    const { hashes, lengths, ids: cached, counts, used } = this.table
    const first = firstWay(this.table, hash)
    this.clock++
    for (let entry = first; entry < first + ways; entry++) {
      if (hashes[entry] !== hash || lengths[entry] !== length || !this.holds(entry, text, start)) continue
      used[entry] = this.clock
      const at = entry * mostIds
      for (let i = at; i < at + (counts[entry] ?? 0); i++) into.push(cached[i] ?? 0)
      return
    }
    const ids = tokenizeText(text.slice(start, end))
    for (const id of ids) into.push(id)
    if (ids.length <= mostIds) this.keep(hash, text, start, length, ids)
  }

  private holds(entry: number, text: string, start: number): boolean {
    const { characters, lengths } = this.table
    const at = entry * longestWord
    for (let i = 0; i < (lengths[entry] ?? 0); i++) if (characters[at + i] !== text.charCodeAt(start + i)) return false
    return true
  }

  private keep(hash: number, text: string, start: number, length: number, ids: readonly number[]): void {
    if (this.words++ === fewWords) this.table = grown(this.table)
    const entry = oldest(this.table, hash)
    for (let i = 0; i < length; i++) this.table.characters[entry * longestWord + i] = text.charCodeAt(start + i)
    this.table.lengths[entry] = length
    this.table.hashes[entry] = hash
    this.table.ids.set(ids, entry * mostIds)
    this.table.counts[entry] = ids.length
    this.table.used[entry] = this.clock
  }
}

/** The least recently used entry of a hash's set. */
const oldest = (table: Table, hash: number): number => {
  const { used } = table
  const first = firstWay(table, hash)
  let found = first
  for (let entry = first + 1; entry < first + ways; entry++) if ((used[entry] ?? 0) < (used[found] ?? 0)) found = entry
  return found
}

/** The same words in a table of the full size. */
const grown = (small: Table): Table => {
  const large = newTable(setBits)
  for (const [from, hash] of small.hashes.entries()) {
    if (small.used[from] === 0) continue
    const to = oldest(large, hash)
    large.characters.set(small.characters.subarray(from * longestWord, (from + 1) * longestWord), to * longestWord)
    large.ids.set(small.ids.subarray(from * mostIds, (from + 1) * mostIds), to * mostIds)
    for (const part of ['lengths', 'hashes', 'counts', 'used'] as const) large[part][to] = small[part][from] ?? 0
  }
  return large
}
