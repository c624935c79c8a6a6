/** Words as numbers, in the order of their first occurrence. One array has all their bytes (UTF-8), and a hash table finds them. */

/** The numbers of the three words that every model has. */
export const unknownWord = 0
export const sentenceStart = 1
export const sentenceEnd = 2
export const specialWords = ['<unk>', '<s>', '</s>'] as const

export type Vocabulary = {
  readonly size: () => number
  /** the number of the word in bytes[start..end); `unknownWord` for one that is not there */
  readonly find: (bytes: Uint8Array, start: number, end: number) => number
  /** the bytes of a word, not to be written to */
  readonly wordBytes: (word: number) => Uint8Array
}

export type GrowingVocabulary = Vocabulary & {
  /** the number of the word in bytes[start..end), which is a new one where the word is */
  readonly add: (bytes: Uint8Array, start: number, end: number) => number
}

/** FNV-1a, with its bits mixed at the end since the table takes the lowest. */
const hashBytes = (bytes: Uint8Array, start: number, end: number): number => {
  let hash = 0x811c9dc5
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return (hash ^ (hash >>> 13)) >>> 0
}

const grown = <A extends Uint8Array | Uint32Array>(array: A, length: number, make: (length: number) => A): A => {
  if (length <= array.length) return array
  const larger = make(Math.max(length, 2 * array.length))
  larger.set(array)
  return larger
}

/** A vocabulary of the three special words, to which others can be added. */
export const newVocabulary = (): GrowingVocabulary => {
  let blob: Uint8Array = new Uint8Array(1 << 12)
  let starts: Uint32Array = new Uint32Array(1 << 8) // word i is blob[starts[i]..starts[i + 1])
  let hashes: Uint32Array = new Uint32Array(1 << 8)
  let table: Uint32Array = new Uint32Array(1 << 9) // a word's number + 1; 0 where nothing is
  let count = 0

  const isWord = (word: number, bytes: Uint8Array, start: number, end: number): boolean => {
    const from = starts[word] as number
    if ((starts[word + 1] as number) - from !== end - start) return false
    for (let i = start; i < end; i++) if (blob[from + i - start] !== bytes[i]) return false
    return true
  }
  /** Where the word is in the table, or the free place where it belongs. */
  const findPlace = (hash: number, bytes: Uint8Array, start: number, end: number): number => {
    const mask = table.length - 1
    let place = hash & mask
    for (let stored = table[place] as number; stored !== 0; stored = table[place] as number) {
      if (hashes[stored - 1] === hash && isWord(stored - 1, bytes, start, end)) break
      place = (place + 1) & mask
    }
    return place
  }
  const rehash = (): void => {
    table = new Uint32Array(2 * table.length)
    const mask = table.length - 1
    for (let word = 0; word < count; word++) {
      let place = (hashes[word] as number) & mask
      while (table[place] !== 0) place = (place + 1) & mask
      table[place] = word + 1
    }
  }
  const find = (bytes: Uint8Array, start: number, end: number): number => {
    const stored = table[findPlace(hashBytes(bytes, start, end), bytes, start, end)] as number
    return stored === 0 ? unknownWord : stored - 1
  }
  const add = (bytes: Uint8Array, start: number, end: number): number => {
    const hash = hashBytes(bytes, start, end)
    const place = findPlace(hash, bytes, start, end)
    if (table[place] !== 0) return (table[place] as number) - 1
    const from = starts[count] as number
    const to = from + end - start
    if (to > 0xffffffff) throw new Error('newVocabulary: expected words of at most 4 GiB together')
    blob = grown(blob, to, (length) => new Uint8Array(length))
    starts = grown(starts, count + 2, (length) => new Uint32Array(length))
    hashes = grown(hashes, count + 1, (length) => new Uint32Array(length))
    blob.set(bytes.subarray(start, end), from)
    starts[count + 1] = to
    hashes[count] = hash
    count++
    table[place] = count
    if (4 * count > 3 * table.length) rehash()
    return count - 1
  }
  for (const word of specialWords) add(Buffer.from(word), 0, word.length)
  return { size: () => count, find, add, wordBytes: (word) => blob.subarray(starts[word], starts[word + 1]) }
}

// Typed arrays that grow: their length doubles when they are full.
export type NumberList<A extends Uint32Array | Float32Array> = {
  readonly push: (value: number) => void
  readonly length: () => number
  /** the numbers so far, without a copy */
  readonly numbers: () => A
}

const first = 1 << 10

const makeNumberList = <A extends Uint32Array | Float32Array>(make: (length: number) => A): NumberList<A> => {
  let array = make(first)
  let length = 0
  return {
    push: (value) => {
      if (length === array.length) {
        const larger = make(2 * length)
        larger.set(array)
        array = larger
      }
      array[length++] = value
    },
    length: () => length,
    numbers: () => array.subarray(0, length) as A,
  }
}

export const uint32List = (): NumberList<Uint32Array> => makeNumberList((length) => new Uint32Array(length))
export const float32List = (): NumberList<Float32Array> => makeNumberList((length) => new Float32Array(length))
