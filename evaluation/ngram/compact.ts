/**
 * The compact file of a model: its arrays as they are in memory, so that opening takes no longer than reading. Little-endian, in this order:
 *
 * - 16 bytes that identify the format
 * - order, number of words, bytes of the words, and number of n-grams by order (32 bits each)
 * - the words, each with a line feed, padded with zeros to a multiple of 4 bytes
 * - the arrays of `Level`, order by order
 * - the SHA-256 of everything before
 */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import { readBytes, withRegularFile } from '../../accelerated/storage/nodeFiles.js'
import type { Piece } from './arpaLines.js'
import { blank, largestLog10, type BackoffModel, type Level } from './backoffModel.js'
import { newVocabulary, specialWords, type Vocabulary } from './vocabulary.js'

/** The last byte is the layout's version. */
export const compactMagic = Buffer.from('salora n-grams\0\x01', 'latin1')

const [piece, digestBytes, highestOrder, lineFeed] = [2 ** 22, 32, 12, 0x0a]

type Outline = { readonly vocabularyBytes: number; readonly words: number; readonly counts: ReadonlyArray<number> }

/** The bytes of the file; most of them are views of the model's arrays. */
export function* compactPieces(model: BackoffModel): Generator<Piece> {
  const hash = createHash('sha256')
  const arrays = Array.from(contentOf(model))
  const total = arrays.reduce((sum, { length }) => sum + length, 0)
  let done = 0
  for (const bytes of arrays)
    for (let at = 0; at < bytes.length; at += piece) {
      const part = bytes.subarray(at, at + piece)
      hash.update(part)
      done += part.length
      yield { bytes: part, share: done / total }
    }
  yield { bytes: hash.digest(), share: 1 }
}

function* contentOf({ vocabulary, levels }: BackoffModel): Generator<Uint8Array> {
  const words = wordLines(vocabulary)
  const counts = levels.map(({ probabilities }) => probabilities.length)
  yield compactMagic
  yield bytesOf(Uint32Array.of(levels.length, vocabulary.size(), words.length, ...counts))
  yield words
  yield Buffer.alloc(filling(words.length))
  for (const level of levels) for (const array of [level.words, level.probabilities, level.backoffs, level.children]) yield bytesOf(array)
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Uint32Array | Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

const wordLines = (vocabulary: Vocabulary): Uint8Array => {
  const lengths = Array.from({ length: vocabulary.size() }, (_, word) => vocabulary.bytesOf(word).length + 1)
  const lines = Buffer.alloc(
    lengths.reduce((a, b) => a + b, 0),
    lineFeed,
  )
  let at = 0
  lengths.forEach((length, word) => {
    lines.set(vocabulary.bytesOf(word), at)
    at += length
  })
  return lines
}

const filling = (bytes: number): number => (4 - (bytes % 4)) % 4

/** @throws InputError if the file is missing, truncated, damaged (its checksum differs) or inconsistent */
export const readCompact = (file: string): Promise<BackoffModel> =>
  withRegularFile(file, async (handle, size) => {
    const hash = createHash('sha256')
    const reader = hashedReader(handle, file, hash.update.bind(hash))
    const outline = await readOutline(file, size, reader)
    const words = await reader(outline.vocabularyBytes)
    await reader(filling(outline.vocabularyBytes))
    const levels: Level[] = []
    const uint32 = async (count: number): Promise<Uint32Array> => new Uint32Array((await reader(4 * count)).buffer)
    const float32 = async (count: number): Promise<Float32Array> => new Float32Array((await reader(4 * count)).buffer)
    for (const [i, count] of outline.counts.entries()) {
      const isLast = i + 1 === outline.counts.length
      levels.push({
        words: await uint32(i === 0 ? 0 : count),
        probabilities: await float32(count),
        backoffs: await float32(isLast ? 0 : count),
        children: await uint32(isLast ? 0 : count + 1),
      })
    }
    const digest = await readBytes(handle, file, size - digestBytes, digestBytes)
    if (!hash.digest().equals(digest)) throw inputError(file, 'a whole file of salora ngram', 'one that is damaged (its checksum differs)')
    return checked(file, { vocabulary: readWords(file, words, outline.words), levels })
  })

/** Reads pieces in order, each into a buffer of its own, and passes their bytes to `seen`. */
const hashedReader = (handle: FileHandle, file: string, onRead: (bytes: Uint8Array) => void) => {
  let at = 0
  return async (length: number): Promise<Buffer<ArrayBuffer>> => {
    const bytes = Buffer.alloc(length)
    for (let filled = 0; filled < length; filled += piece) {
      const part = await readBytes(handle, file, at + filled, Math.min(piece, length - filled))
      bytes.set(part, filled)
      onRead(part)
    }
    at += length
    return bytes
  }
}

/** Checks the sizes against the file before anything is allocated. */
const readOutline = async (file: string, size: number, read: (length: number) => Promise<Buffer>): Promise<Outline> => {
  const magic = await read(compactMagic.length)
  if (!magic.equals(compactMagic)) throw inputError(file, 'a model of this version of salora ngram', 'one of another')
  const [order, words, vocabularyBytes] = numbers(await read(12))
  if (order === undefined || order < 1 || order > highestOrder) throw inputError(file, `an order from 1 to ${highestOrder}`, `${order}`)
  const counts = numbers(await read(4 * order))
  const arrays = counts.map((count, i) => (i > 0 ? count : 0) + count + (i + 1 < order ? 2 * count + 1 : 0))
  const text = vocabularyBytes as number
  const expected =
    compactMagic.length + 4 * (3 + order) + text + filling(text) + 4 * arrays.reduce((sum, length) => sum + length, 0) + digestBytes
  if (size !== expected) throw inputError(file, `${expected} bytes, as its header says`, `${size}`)
  if (counts[0] !== words) throw inputError(file, `${words} 1-grams, a word each`, `${counts[0]}`)
  return { vocabularyBytes: text, words: words as number, counts }
}

const numbers = (bytes: Buffer): ReadonlyArray<number> => Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(4 * i))

const readWords = (file: string, lines: Uint8Array, count: number): Vocabulary => {
  const vocabulary = newVocabulary()
  let [start, words] = [0, 0]
  for (let feed = lines.indexOf(lineFeed); feed !== -1; feed = lines.indexOf(lineFeed, start)) {
    if (feed === start || vocabulary.add(lines, start, feed) !== words)
      throw inputError(file, 'each word once, and the special ones first', 'others')
    words++
    start = feed + 1
  }
  if (words !== count || words < specialWords.length || start !== lines.length) throw inputError(file, `${count} words`, `${words}`)
  return vocabulary
}

/** Checks what a scorer relies on: anyone who made the file may have made its checksum too. @throws InputError */
const checked = (file: string, model: BackoffModel): BackoffModel => {
  try {
    model.levels.forEach((level, i) => checkLevel(level, i, model.levels, model.vocabulary.size()))
  } catch (thrown) {
    throw inputError(file, 'n-grams below those that they end in, each with a probability', reason(thrown))
  }
  return model
}

const checkLevel = ({ words, probabilities, backoffs, children }: Level, i: number, levels: ReadonlyArray<Level>, size: number): void => {
  const above = levels[i + 1]
  const complain = (what: string): never => {
    throw new Error(`${i + 1}-grams: ${what}`)
  }
  for (const probability of probabilities)
    if (!(probability <= 0 && probability >= -largestLog10) && !(probability === blank && i > 0 && above !== undefined))
      complain(`a probability of ${probability}`)
  for (const backoff of backoffs) if (!(Math.abs(backoff) <= largestLog10)) complain(`a back-off weight of ${backoff}`)
  for (const word of words) if (word >= size) complain(`word ${word} of ${size}`)
  if (above === undefined) return
  if (children[0] !== 0 || children.at(-1) !== above.probabilities.length) complain('children that are not all')
  for (let gram = 0; gram + 1 < children.length; gram++) {
    const [from, to] = [children[gram] as number, children[gram + 1] as number]
    if (from > to || to > above.words.length) complain('children out of order')
    for (let child = from + 1; child < to; child++)
      if ((above.words[child] as number) <= (above.words[child - 1] as number)) complain('children out of order')
  }
}
