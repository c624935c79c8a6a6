/** A back-off n-gram model: its n-grams with their numbers, and the tables in which a scorer finds them. */
import type { Vocabulary } from './vocabulary.js'

/** The n-grams of one order n; those of order 1 are the words by number. */
export type Level = {
  /** `n` words each, as they are spoken */
  readonly words: Uint32Array
  /** log10 p of the last word after the others */
  readonly probabilities: Float32Array
  /** log10 of the back-off weight of the n-gram as a context; empty for the highest order */
  readonly backoffs: Float32Array
}

export type BackoffModel = {
  readonly vocabulary: Vocabulary
  /** by order, from 1 */
  readonly levels: readonly Level[]
  /** of a model from a file, which is checked by building them; null: `ngramScorer` builds them */
  readonly tables: readonly NgramTable[] | null
}

/** The largest log10 of a model's numbers, with either sign: beyond it, probabilities and perplexities leave float64. */
export const largestLog10 = 300

/**
 * The n-grams of one order in a hash table. The place of an n-gram follows from its words alone, so the processor can look up the next longer
 * n-gram while it waits for this one. numbers[4 p] is the place of the n-gram without its first word in the table of the order below, or `nobody`
 * where p is free, and numbers[4 p + 1] is the first word. The place of a word is its number.
 */
export type NgramTable = {
  readonly numbers: Uint32Array
  /** the same bytes: [4 p + 2] is log10 p or `blank`, [4 p + 3] log10 of the back-off weight */
  readonly values: Float32Array
  readonly mask: number
}

export const nobody = 0xffffffff

/** Marks an n-gram that the model lists only as the end of longer ones, as in KenLM; no log10 p is above 0. */
export const blank = 1

/** Which n-gram of a level is wrong, and why. @returns what to throw */
export type Complain = (order: number, listed: number, problem: 'twice' | 'without context') => Error

/** The hash of a word, and of a word before what has the hash `rest`. */
export const startHash = (word: number): number => extendedHash(0x2545f491, word)
export const extendedHash = (rest: number, word: number): number => {
  const mixed = Math.imul(rest ^ word, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}
/** Where the n-gram with this hash, this first word and this suffix is, or the free place where it belongs. */
export const placeIn = ({ numbers, mask }: NgramTable, hash: number, suffix: number, first: number): number => {
  let place = (Math.imul(hash, 0x85ebca6b) >>> 3) & mask
  for (let ends = numbers[4 * place] as number; ends !== nobody; ends = numbers[4 * place] as number) {
    if (ends === suffix && numbers[4 * place + 1] === first) break
    place = (place + 1) & mask
  }
  return place
}

/** Places for each n-gram at least, and the part of the places that may be taken. */
const [room, fullest] = [1.5, 0.8]

/** @throws what `complain` makes of an n-gram that is listed twice, or whose context (all but its last word) is not listed */
export const ngramTables = (levels: readonly Level[], complain: Complain): readonly NgramTable[] => {
  const counts = levels.map(({ probabilities }) => probabilities.length)
  return (
    filledTables(levels, counts, complain) ??
    (filledTables(
      levels,
      counts.map((_, i) => counts.slice(i).reduce((a, b) => a + b, 0)), // each longer n-gram may end in a blank
      complain,
    ) as readonly NgramTable[])
  )
}

/** @param counts n-grams to make room for, by order. @returns null if there are more blanks than that */
const filledTables = (levels: readonly Level[], counts: readonly number[], complain: Complain): readonly NgramTable[] | null => {
  const [unigrams] = levels as readonly [Level]
  const tables = counts.map((count, i) => (i === 0 ? emptyTable(count, 0) : emptyTable(2 ** Math.ceil(Math.log2(room * count + 1)))))
  const left = tables.map(({ mask }) => Math.ceil(fullest * (mask + 1)) - 1)
  const put = (order: number, place: number, suffix: number, first: number, probability: number, backoff: number): void => {
    const { numbers, values } = tables[order - 1] as NgramTable
    numbers[4 * place] = suffix
    numbers[4 * place + 1] = first
    values[4 * place + 2] = probability
    values[4 * place + 3] = backoff
    left[order - 1] = (left[order - 1] as number) - 1
  }
  unigrams.probabilities.forEach((probability, word) => put(1, word, word, 0, probability, unigrams.backoffs[word] ?? 0))
  for (let order = 2; order <= levels.length; order++) {
    const { words, probabilities, backoffs } = levels[order - 1] as Level
    const [table, below] = [tables[order - 1] as NgramTable, tables[order - 2] as NgramTable]
    for (let gram = 0; gram < probabilities.length; gram++) {
      const start = gram * order
      const context = findPlace(tables, words, start, order - 1)
      if (context === -1 || below.values[4 * context + 2] === blank) throw complain(order, gram, 'without context')
      let place = words[start + order - 1] as number
      let hash = startHash(place)
      for (let n = 2; n < order; n++) {
        const first = words[start + order - n] as number
        hash = extendedHash(hash, first)
        const suffix = place
        const shorter = tables[n - 1] as NgramTable
        place = placeIn(shorter, hash, suffix, first)
        if (shorter.numbers[4 * place] === nobody) put(n, place, suffix, first, blank, 0)
        if ((left[n - 1] as number) < 0) return null
      }
      const first = words[start] as number
      const free = placeIn(table, extendedHash(hash, first), place, first)
      if (table.numbers[4 * free] !== nobody) throw complain(order, gram, 'twice')
      put(order, free, place, first, probabilities[gram] as number, backoffs[gram] ?? 0)
    }
  }
  return tables
}

const emptyTable = (places: number, mask = places - 1): NgramTable => {
  const numbers = new Uint32Array(4 * places)
  for (let place = 0; place < places; place++) numbers[4 * place] = nobody
  return { numbers, values: new Float32Array(numbers.buffer), mask }
}

/** The place of words[start..start + n) in the table of order n; −1 if it is not there. */
const findPlace = (tables: readonly NgramTable[], words: Uint32Array, start: number, n: number): number => {
  let place = words[start + n - 1] as number
  let hash = startHash(place)
  for (let order = 2; order <= n; order++) {
    const first = words[start + n - order] as number
    hash = extendedHash(hash, first)
    const table = tables[order - 1] as NgramTable
    place = placeIn(table, hash, place, first)
    if (table.numbers[4 * place] === nobody) return -1
  }
  return place
}
