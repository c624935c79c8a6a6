/**
 * A model's n-grams in one hash table per order, for scoring. The place of an n-gram follows from its words alone. So the processor can
 * look up the next longer n-gram while it waits for this one. An entry stores the place of its suffix, which identifies the n-gram.
 */
import type { Level } from './backoffModel.js'

/** One order. At place p, numbers[4 p] is the place of the suffix in the table of its order, or `nobody`. And numbers[4 p + 1] is the first word. */
export type NgramTable = {
  readonly numbers: Uint32Array
  /** the same bytes: [4 p + 2] is log10 p, [4 p + 3] log10 of the back-off weight */
  readonly values: Float32Array
  readonly mask: number
}

export const nobody = 0xffffffff

/** Places for each n-gram, at least. */
const room = 1.5

/** The hash of a word, and of a word before what has the hash `rest`. */
export const startHash = (word: number): number => extendedHash(0x2545f491, word)
export const extendedHash = (rest: number, word: number): number => {
  const mixed = Math.imul(rest ^ word, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}
/** Where to look first. */
export const firstPlace = (hash: number, mask: number): number => (Math.imul(hash, 0x85ebca6b) >>> 3) & mask

/** By order; the place of a word is its number. */
export const ngramTables = (levels: ReadonlyArray<Level>): ReadonlyArray<NgramTable> => {
  const words = (levels[0] as Level).probabilities.length
  const tables: NgramTable[] = [tableOf(words, 0)]
  let places = Uint32Array.from({ length: words }, (_, word) => word) // of each n-gram of the current order
  let hashes = Int32Array.from({ length: words }, (_, word) => startHash(word))
  places.forEach((place) => fill(tables[0] as NgramTable, place, levels[0] as Level, place))
  for (let order = 2; order <= levels.length; order++) {
    const [below, level] = [levels[order - 2] as Level, levels[order - 1] as Level]
    const count = level.probabilities.length
    const size = 2 ** Math.ceil(Math.log2(room * count + 1))
    const table = tableOf(size, size - 1)
    const [ownPlaces, ownHashes] = [new Uint32Array(count), new Int32Array(count)]
    for (let parent = 0; parent + 1 < below.children.length; parent++) {
      const end = below.children[parent + 1] as number
      for (let gram = below.children[parent] as number; gram < end; gram++) {
        const word = level.words[gram] as number
        const hash = extendedHash(hashes[parent] as number, word)
        let place = firstPlace(hash, table.mask)
        while (table.numbers[4 * place] !== nobody) place = (place + 1) & table.mask
        table.numbers[4 * place] = places[parent] as number
        table.numbers[4 * place + 1] = word
        fill(table, place, level, gram)
        ownPlaces[gram] = place
        ownHashes[gram] = hash
      }
    }
    tables.push(table)
    places = ownPlaces
    hashes = ownHashes
  }
  return tables
}

const tableOf = (places: number, mask: number): NgramTable => {
  const numbers = new Uint32Array(4 * places)
  for (let place = 0; place < places; place++) numbers[4 * place] = nobody
  return { numbers, values: new Float32Array(numbers.buffer), mask }
}

const fill = ({ values }: NgramTable, place: number, { probabilities, backoffs }: Level, gram: number): void => {
  values[4 * place + 2] = probabilities[gram] as number
  values[4 * place + 3] = backoffs.length === 0 ? 0 : (backoffs[gram] as number)
}
