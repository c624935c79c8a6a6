/** log10 p of words one after another under a back-off model, as KenLM's `query` gives it. */
import { blank, type BackoffModel, type Level } from './backoffModel.js'
import { sentenceStart } from './vocabulary.js'

export type Scorer = {
  /** resets the context: to <s>, the start of a sentence, or to an empty context */
  readonly begin: (context?: 'sentence' | 'nothing') => void
  /** log10 p(word | context); the word becomes part of the context */
  readonly next: (word: number) => number
  /** how long the n-gram is that was found last: as KenLM counts, also one that is only the end of longer ones */
  readonly matched: () => number
}

/**
 * p(w | h) = p(longest n-gram in the model that h w ends in) × the back-off weights of all longer contexts (Katz 1987). The weights were read when the
 * context's last word was scored, so no context is looked up. The tables are built first.
 */
export const openScorer = ({ levels }: BackoffModel): Scorer => {
  const order = levels.length
  const tables = ngramTables(levels)
  const { values: ofWords } = tables[0] as NgramTable
  const history = new Uint32Array(order + 1) // history[0]: the word before
  const contexts = new Float64Array(order) // contexts[k]: log10 of the weight of the context of k + 1 words
  const met = new Float64Array(order) // the weights of the n-grams that end in the current word
  let length = 0 // of the longest context
  let matched = 0
  const begin = (context: 'sentence' | 'nothing' = 'sentence'): void => {
    length = context === 'sentence' && order > 1 ? 1 : 0
    history[0] = sentenceStart
    contexts[0] = ofWords[4 * sentenceStart + 3] as number
  }
  const next = (word: number): number => {
    let log10 = ofWords[4 * word + 2] as number
    let place = word
    let hash = startHash(word)
    let scoredLength = 1 // the length of the n-gram whose probability it is
    matched = 1
    met[0] = ofWords[4 * word + 3] as number
    while (matched <= length) {
      const { numbers, values, mask } = tables[matched] as NgramTable
      const before = history[matched - 1] as number
      hash = extendedHash(hash, before)
      let slot = firstPlace(hash, mask)
      let ends = numbers[4 * slot] as number
      while (ends !== nobody && (ends !== place || numbers[4 * slot + 1] !== before)) {
        slot = (slot + 1) & mask
        ends = numbers[4 * slot] as number
      }
      if (ends === nobody) break
      place = slot
      const probability = values[4 * slot + 2] as number
      met[matched] = values[4 * slot + 3] as number
      matched++
      if (probability === blank) continue
      log10 = probability
      scoredLength = matched
    }
    for (let k = scoredLength - 1; k < length; k++) log10 += contexts[k] as number
    length = matched < order ? matched : order - 1
    for (let k = length - 1; k > 0; k--) history[k] = history[k - 1] as number
    for (let k = 0; k < length; k++) contexts[k] = met[k] as number
    history[0] = word
    return log10
  }
  begin()
  return { begin, next, matched: () => matched }
}

// A model's n-grams in one hash table per order, for scoring. The place of an n-gram follows from its words alone. So the processor can
// look up the next longer n-gram while it waits for this one. An entry stores the place of its suffix, which identifies the n-gram.
/** One order. At place p, numbers[4 p] is the place of the suffix in the table of its order, or `nobody`. And numbers[4 p + 1] is the first word. */
type NgramTable = {
  readonly numbers: Uint32Array
  /** the same bytes: [4 p + 2] is log10 p, [4 p + 3] log10 of the back-off weight */
  readonly values: Float32Array
  readonly mask: number
}

const nobody = 0xffffffff

/** Places for each n-gram, at least. */
const room = 1.5

/** The hash of a word, and of a word before what has the hash `rest`. */
const startHash = (word: number): number => extendedHash(0x2545f491, word)
const extendedHash = (rest: number, word: number): number => {
  const mixed = Math.imul(rest ^ word, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}
/** Where to look first. */
const firstPlace = (hash: number, mask: number): number => (Math.imul(hash, 0x85ebca6b) >>> 3) & mask

/** By order; the place of a word is its number. */
const ngramTables = (levels: ReadonlyArray<Level>): ReadonlyArray<NgramTable> => {
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
