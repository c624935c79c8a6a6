/** All n-grams of a corpus with their counts, raw and adjusted (Heafield et al. 2013, section 3), from one sort of its places. */
import type { Corpus } from './corpus.js'
import { sortedByKey } from './suffixOrder.js'
import { sentenceStart } from './vocabulary.js'

/** The n-grams of one order in suffix order; those of order 1 are the words by number. */
export type Counted = {
  /** index of the last word of each in the corpus; empty for order 1 */
  readonly places: Uint32Array
  /** number of occurrences */
  readonly raw: Uint32Array
  /** `raw` for the highest order and for n-grams that begin with <s>; otherwise the number of different words (or <s>) before it */
  readonly adjusted: Uint32Array
  /** the n-gram that ends at a place of the corpus; of the highest order empty */
  readonly endingAt: Uint32Array
  /** the n-gram of this order that the last place of all in suffix order ends in; null where it would reach beyond its sentence */
  readonly last: number | null
}

/** @returns by order, from 1. `tick` receives the finished share, and may throw */
export const countNgrams = async (corpus: Corpus, tick: (share: number) => Promise<void>): Promise<ReadonlyArray<Counted>> => {
  const { tokens, order } = corpus
  const places = await inSuffixOrder(corpus, (share) => tick(share / 2))
  const { same, reach } = comparison(tokens, places, order)
  const counted: Counted[] = [countWords(corpus, places)]
  for (let n = 2; n <= order; n++) {
    await tick(0.5 + (0.5 * (n - 1)) / order)
    counted.push(countOrder(corpus, places, same, reach, n, counted[n - 2] as Counted))
  }
  return counted
}

/** The places of all words and sentence ends by the words that end there, `order` of them. */
const inSuffixOrder = async (
  { tokens, order, vocabulary, words, sentences }: Corpus,
  tick: (share: number) => Promise<void>,
): Promise<Uint32Array> => {
  let places: Uint32Array = new Uint32Array(words + sentences)
  for (let at = 0, next = 0; at < tokens.length; at++) if (tokens[at] !== sentenceStart) places[next++] = at
  for (let back = order - 1; back >= 0; back--) {
    places = sortedByKey(places, tokens, 1, -back, vocabulary.size())
    await tick((order - back) / order)
  }
  return places
}

/**
 * `same`: how many last words a place has in common with the place before it.
 * `reach`: the length of the longest n-gram that ends there and has at most one <s>.
 */
const comparison = (tokens: Uint32Array, places: Uint32Array, order: number) => {
  const [same, reach] = [new Uint8Array(places.length), new Uint8Array(places.length)]
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as number
    let n = 1
    while (n < order && tokens[place - n + 1] !== sentenceStart) n++
    reach[i] = n
    if (i === 0) continue
    const before = places[i - 1] as number
    n = 0
    while (n < order && tokens[place - n] === tokens[before - n]) n++
    same[i] = n
  }
  return { same, reach }
}

/** Order 1. Its adjusted counts come from the n-grams of order 2, if there are any. */
const countWords = ({ tokens, order, vocabulary }: Corpus, places: Uint32Array): Counted => {
  const raw = new Uint32Array(vocabulary.size())
  for (const place of places) increment(raw, tokens[place] as number)
  const adjusted = order === 1 ? raw : new Uint32Array(raw.length)
  return { places: new Uint32Array(0), raw, adjusted, endingAt: tokens, last: tokens[places.at(-1) as number] as number }
}

/** Order n, which also adds to the adjusted counts of the order below it. */
const countOrder = (
  { tokens, order }: Corpus,
  places: Uint32Array,
  same: Uint8Array,
  reach: Uint8Array,
  n: number,
  below: Counted,
): Counted => {
  let count = 0
  for (let i = 0; i < places.length; i++) if ((same[i] as number) < n && (reach[i] as number) >= n) count++
  const [first, raw] = [new Uint32Array(count), new Uint32Array(count)]
  const endingAt = new Uint32Array(n < order ? tokens.length : 0)
  let at = -1
  for (let i = 0; i < places.length; i++) {
    if ((reach[i] as number) < n) continue
    const place = places[i] as number
    if ((same[i] as number) < n) {
      at++
      first[at] = place
      increment(below.adjusted, below.endingAt[place] as number)
    }
    increment(raw, at)
    if (n < order) endingAt[place] = at
  }
  const adjusted = n === order ? raw : new Uint32Array(count)
  if (n < order) for (let i = 0; i < count; i++) if (tokens[(first[i] as number) - n + 1] === sentenceStart) adjusted[i] = raw[i] as number
  return { places: first, raw, adjusted, endingAt, last: (reach.at(-1) as number) >= n ? at : null }
}

const increment = (counts: Uint32Array, at: number): void => {
  counts[at] = (counts[at] as number) + 1
}
