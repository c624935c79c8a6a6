/** A model as the lines of an ARPA file, as KenLM, SRILM and others read it. */
import { blank, countOf, type BackoffModel, type Level } from './backoffModel.js'
import type { Vocabulary } from './vocabulary.js'

const piece = 2 ** 20
/** Maximum bytes of two numbers with their separators. */
const numbersAtMost = 64
const [tab, space, lineFeed, minus, point, zero] = [0x09, 0x20, 0x0a, 0x2d, 0x2e, 0x30]

/** Bytes of the file, and the share of the file that ends with them. */
export type Piece = { readonly bytes: Uint8Array; readonly share: number }

/** N-grams of an order are in suffix order. Numbers have seven decimals, which keep a float32 between −0.5 and −16. */
export function* arpaPieces(model: BackoffModel): Generator<Piece> {
  const total = model.levels.reduce((sum, { probabilities }) => sum + probabilities.length, 0)
  let done = 0
  for (const { bytes, ngrams } of parts(model)) {
    done += ngrams
    yield { bytes, share: done / total }
  }
}

/** Bytes, and the number of n-grams in them. */
type Part = { readonly bytes: Uint8Array; readonly ngrams: number }

function* parts({ vocabulary, levels }: BackoffModel): Generator<Part> {
  const text = (written: string): Part => ({ bytes: Buffer.from(written), ngrams: 0 })
  yield text(`\\data\\\n${levels.map((level, i) => `ngram ${i + 1}=${countOf(level)}\n`).join('')}\n`)
  for (let order = 1; order <= levels.length; order++) {
    yield text(`\\${order}-grams:\n`)
    yield* section(vocabulary, levels.slice(0, order))
    yield text('\n')
  }
  yield text('\\end\\\n')
}

/** Lines of the n-grams in the last of `levels`; the others are needed for their words. */
function* section(vocabulary: Vocabulary, levels: ReadonlyArray<Level>): Generator<Part> {
  const order = levels.length
  const { probabilities, backoffs } = levels[order - 1] as Level
  let buffer = Buffer.allocUnsafe(piece)
  let at = 0
  let first = 0 // of the n-grams in the buffer
  const path = new Uint32Array(order) // path[n − 1]: the n-gram of order n that the current one ends in
  for (let gram = 0; gram < probabilities.length; gram++) {
    // n-grams are sorted by their last words, so each path is the previous one or a later one
    path[order - 1] = gram
    for (let n = order - 1; n >= 1; n--) {
      const children = (levels[n - 1] as Level).children
      while ((children[(path[n - 1] as number) + 1] as number) <= (path[n] as number)) path[n - 1] = (path[n - 1] as number) + 1
    }
    if (probabilities[gram] === blank) continue
    at = putNumber(buffer, at, probabilities[gram] as number)
    for (let n = order; n >= 1; n--) {
      const word = vocabulary.bytesOf(n === 1 ? (path[0] as number) : ((levels[n - 1] as Level).words[path[n - 1] as number] as number))
      if (at + word.length + numbersAtMost > buffer.length) {
        yield { bytes: buffer.subarray(0, at), ngrams: gram - first }
        first = gram
        buffer = Buffer.allocUnsafe(Math.max(piece, word.length + numbersAtMost))
        at = 0
      }
      buffer[at++] = n === order ? tab : space
      buffer.set(word, at)
      at += word.length
    }
    if (backoffs.length > 0) {
      buffer[at++] = tab
      at = putNumber(buffer, at, backoffs[gram] as number)
    }
    buffer[at++] = lineFeed
  }
  if (at > 0) yield { bytes: buffer.subarray(0, at), ngrams: probabilities.length - first }
}

/** Writes a number with at most seven decimals and no trailing zeros. → the index of the next byte */
const putNumber = (buffer: Buffer, at: number, value: number): number => {
  const scaled = Math.round(Math.abs(value) * 1e7)
  if (scaled === 0) {
    buffer[at] = zero
    return at + 1
  }
  if (scaled > 2 ** 52) return at + buffer.write(String(value), at)
  let place = at
  if (value < 0) buffer[place++] = minus
  const integer = Math.floor(scaled / 1e7)
  let rest = scaled - 1e7 * integer
  place += integer < 10 ? putDigit(buffer, place, integer) : buffer.write(String(integer), place)
  if (rest === 0) return place
  buffer[place++] = point
  for (let unit = 1e6; rest > 0; unit /= 10) {
    const digit = Math.floor(rest / unit)
    rest -= digit * unit
    place += putDigit(buffer, place, digit)
  }
  return place
}

const putDigit = (buffer: Buffer, at: number, digit: number): number => {
  buffer[at] = zero + digit
  return 1
}
