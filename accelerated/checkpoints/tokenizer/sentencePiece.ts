/** SentencePiece's two parts that tokenizer.json may hold: the unigram model, and a table of replacements for characters. */
import { inputError } from '../../errors/inputError.js'

// The unigram model (Kudo, 2018): the segmentation of a word whose pieces have the largest sum of log probabilities.
/** Pieces and their log probabilities. A piece's id is its index. */
export type ScoredPieces = readonly (readonly [piece: string, score: number])[]

/** The log probability of an unknown character is this much below that of the least likely piece, as in SentencePiece. */
const unknownPenalty = 10

/**
 * Segments words into pieces. Adjacent unknown characters are one unknown piece. The cost is the length of a word times that of the longest piece.
 * @param unknown the index of the unknown piece
 * @param mark the character before which texts are cut into words; null if they already are
 */
export const unigram = (pieces: ScoredPieces, unknown: number, mark: string | null): ((words: readonly string[]) => readonly string[]) => {
  const scores = new Map(pieces)
  const longest = pieces.reduce((most, [piece]) => Math.max(most, piece.length), 2) // a character has at most 2 units
  const unknownPiece = pieces[unknown]?.[0] ?? ''
  const unknownScore = pieces.reduce((least, [, score]) => Math.min(least, score), Infinity) - unknownPenalty

  /** Viterbi: the best segmentation up to each index. Of equally good ones, that with the longest last piece. */
  const segment = (word: string): readonly string[] => {
    const best = new Float64Array(word.length + 1)
    const from = new Int32Array(word.length + 1).fill(-1)
    const isPiece = new Uint8Array(word.length + 1)
    for (let start = 0, next = 0; start < word.length; start = next) {
      next = start + ((word.codePointAt(start) ?? 0) > 0xffff ? 2 : 1)
      for (let end = next; end <= Math.min(start + longest, word.length); end++) {
        const score = scores.get(word.slice(start, end))
        if (score === undefined && end > next) continue
        const candidate = (best[start] ?? 0) + (score ?? unknownScore)
        if (from[end] !== -1 && candidate <= (best[end] ?? 0)) continue
        best[end] = candidate
        from[end] = start
        isPiece[end] = score === undefined ? 0 : 1
      }
    }
    const backwards: string[] = []
    for (let end = word.length, unknownAfter = false; end > 0; end = from[end] ?? 0) {
      const isKnown = isPiece[end] === 1
      if (isKnown) backwards.push(word.slice(from[end], end))
      else if (!unknownAfter) backwards.push(unknownPiece)
      unknownAfter = !isKnown
    }
    return backwards.reverse()
  }
  return (words) => words.flatMap((text) => (mark === null ? [text] : splitWords(text, mark))).flatMap(segment)
}

/** `▁a▁▁b` → `▁a`, `▁`, `▁b` */
const splitWords = (text: string, mark: string): readonly string[] => {
  const [first = '', ...others] = text.split(mark)
  return [...(first === '' ? [] : [first]), ...others.map((word) => `${mark}${word}`)]
}

// The table of replacements, as tokenizer.json has it. It begins with the bytes of a double-array trie (Darts-clone).
// The texts that its leaves point to follow, each with a zero byte at its end.
/** Replaces the characters of a text. */
export type Normalize = (text: string) => string

/** The bytes that may replace one character. The longest replacement in SentencePiece's own tables has 33. */
const longestReplacement = 64

/** As in Hugging Face's tokenizers, a shorter grapheme is looked up as a whole; for a longer one, each of its characters is. */
const shortGrapheme = 6

/** Characters whose replacement is remembered. */
const cacheSize = 100_000

/** @param base64 the table @param where the file, for messages @throws InputError if the bytes are no table of this kind */
export const precompiledNormalizer = (base64: string, where: string): Normalize => {
  const { units, texts } = parseTable(base64, where)
  const cache = new Map<string, string | null>()
  /** the replacement of the shortest prefix that the table has; null if it has none */
  const findReplacement = (characters: string): string | null => {
    const cached = cache.get(characters)
    if (cached !== undefined) return cached
    const at = findLeaf(units, encoder.encode(characters))
    const text = at === null ? null : decoder.decode(texts.subarray(at, findEnd(texts, at)))
    if (cache.size < cacheSize) cache.set(characters, text)
    return text
  }
  return (text) => {
    let normalized = ''
    for (const grapheme of graphemes(text)) {
      const isShort = grapheme.length < shortGrapheme && encoder.encode(grapheme).length < shortGrapheme
      const whole = isShort ? findReplacement(grapheme) : null
      if (whole !== null) normalized += whole
      else for (const character of grapheme) normalized += findReplacement(character) ?? character
    }
    return normalized
  }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

type Table = { readonly units: Uint32Array; readonly texts: Uint8Array }

const parseTable = (base64: string, where: string): Table => {
  const bytes = decodeBase64(base64, where)
  const view = new DataView(bytes.buffer)
  const size = bytes.length < 4 ? 0 : view.getUint32(0, true)
  if (size < 4 || size % 4 !== 0 || size > bytes.length - 4)
    throw inputError(where, 'a precompiled_charsmap that begins with the size of its trie', `${size} of ${bytes.length} bytes`)
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true))
  const texts = bytes.subarray(4 + size)
  for (let start = 0; start < texts.length; ) {
    const end = findEnd(texts, start)
    if (end - start > longestReplacement)
      throw inputError(where, `a precompiled_charsmap of texts of at most ${longestReplacement} bytes`, `one of ${end - start}`)
    start = end + 1
  }
  return { units, texts }
}

const decodeBase64 = (base64: string, where: string): Uint8Array<ArrayBuffer> => {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
  } catch {
    throw inputError(where, 'a precompiled_charsmap in base64', 'text that is not')
  }
}

const findEnd = (texts: Uint8Array, start: number): number => {
  const end = texts.indexOf(0, start)
  return end < 0 ? texts.length : end
}

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })

function* graphemes(text: string): Iterable<string> {
  if (/^[ -~]*$/.test(text))
    yield* text // each of these characters is a grapheme
  else for (const { segment } of segmenter.segment(text)) yield segment
}

/**
 * The offset of the text of the shortest key that is a prefix of `bytes`; null if there is none. A unit of the trie has its byte in bits 0–7.
 * Bit 8 is set if a key ends there. Bit 9 is set if the offset counts in 256s. The offset is in bit 10 and above.
 */
const findLeaf = (units: Uint32Array, bytes: Uint8Array): number | null => {
  let index = readOffset(units[0] ?? 0)
  for (const byte of bytes) {
    index ^= byte
    const unit = units[index]
    if (byte === 0 || unit === undefined || (unit & 0x800000ff) !== byte) return null
    index ^= readOffset(unit)
    if ((unit & 0x100) !== 0) return (units[index] ?? 0) & 0x7fffffff
  }
  return null
}

const readOffset = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6)
