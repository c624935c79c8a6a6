/**
 * SentencePiece's table of characters and what stands for them, as tokenizer.json holds it: the bytes of a double-array trie (Darts-clone), then the
 * texts that its leaves point to, a zero byte after each.
 */
import { inputError } from '../../errors/inputError.js'

/** A text's characters replaced. */
export type Normalizer = (text: string) => string

/** Bytes that may stand for one character: the longest of SentencePiece's own tables are 33. */
const longest = 64

/** The table applies to graphemes of fewer bytes as a whole, and else to each character in them, as Hugging Face's tokenizers have it. */
const wholeBelow = 6

/** @param base64 the table @param where the file, for messages @throws Mistake for bytes that are no such table */
export const precompiledNormalizer = (base64: string, where: string): Normalizer => {
  const bytes = Buffer.from(base64, 'base64')
  const size = bytes.length < 4 ? 0 : bytes.readUInt32LE(0)
  if (size < 4 || size % 4 !== 0 || size > bytes.length - 4)
    throw inputError(where, 'a precompiled_charsmap that begins with the size of its trie', `${size} of ${bytes.length} bytes`)
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => bytes.readUInt32LE(4 + 4 * i))
  const texts = bytes.subarray(4 + size)
  for (let start = 0; start < texts.length; ) {
    const end = endOf(texts, start)
    if (end - start > longest)
      throw inputError(where, `a precompiled_charsmap of texts of at most ${longest} bytes`, `one of ${end - start}`)
    start = end + 1
  }
  const known = new Map<string, string | null>() // of characters met before; as many as there are at most
  /** what stands for the shortest beginning that the table has; null where it has none */
  const replaced = (characters: string): string | null => {
    const before = known.get(characters)
    if (before !== undefined) return before
    const at = leafOf(units, Buffer.from(characters))
    const text = at === null ? null : texts.toString('utf8', at, endOf(texts, at))
    if (known.size < mostKnown) known.set(characters, text)
    return text
  }
  return (text) => {
    let normalized = ''
    for (const grapheme of graphemes(text)) {
      const whole = grapheme.length < wholeBelow && Buffer.byteLength(grapheme) < wholeBelow ? replaced(grapheme) : null
      if (whole !== null) normalized += whole
      else for (const character of grapheme) normalized += replaced(character) ?? character
    }
    return normalized
  }
}

const mostKnown = 100_000

const endOf = (texts: Uint8Array, start: number): number => {
  const end = texts.indexOf(0, start)
  return end < 0 ? texts.length : end
}

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' })

function* graphemes(text: string): Iterable<string> {
  if (/^[ -~]*$/.test(text))
    yield* text // of these each is one
  else for (const { segment } of segmenter.segment(text)) yield segment
}

/** Where the text of the shortest key that `bytes` begin with stands. A unit: bits 0–7 its byte, 8 whether a key ends, 9 whether its offset counts 256s, from 10 on the offset. */
const leafOf = (units: Uint32Array, bytes: Uint8Array): number | null => {
  let place = offsetOf(units[0] ?? 0)
  for (const byte of bytes) {
    place ^= byte
    const unit = units[place]
    if (byte === 0 || unit === undefined || (unit & 0x800000ff) !== byte) return null
    place ^= offsetOf(unit)
    if ((unit & 0x100) !== 0) return (units[place] ?? 0) & 0x7fffffff
  }
  return null
}

const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6)
