/** All n-grams of a corpus with their counts, raw and adjusted (Heafield et al. 2013, section 3), from one sort of its places. */
import { sentenceStart, newVocabulary, sentenceEnd, specialWords, type Vocabulary, uint32List } from './vocabulary.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { eachTextLine, type TextSource } from './textLines.js'

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
export const countNgrams = async (corpus: Corpus, tick: (share: number) => Promise<void>): Promise<readonly Counted[]> => {
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

/** A training text as numbers. Each sentence starts with as many <s> as the longest context has words, and ends with </s>. */
export type Corpus = {
  readonly vocabulary: Vocabulary
  /** words by number; before each sentence `order` − 1 times <s> */
  readonly tokens: Uint32Array
  readonly order: number
  readonly sentences: number
  /** without <s> and </s> */
  readonly words: number
}

type CorpusOptions = {
  readonly order: number
  /** read <s>, </s> and <unk> in the text as blanks instead of refusing them */
  readonly skipSymbols: boolean
}

/** The separators of words, as in lmplz; a line feed ends the line. */
const isBlank = new Uint8Array(256)
for (const byte of Buffer.from('\0\t\r ')) isBlank[byte] = 1

/** Maximum length of an array of numbers. */
const mostTokens = 2 ** 32 - 2

/**
 * Reads a text of one sentence a line; an empty line is an empty sentence, as for lmplz.
 * @throws InputError for an empty text, a special word in it (unless they are skipped), bytes that are not UTF-8
 */
export const readCorpus = async (source: TextSource, { order, skipSymbols }: CorpusOptions, signal?: AbortSignal): Promise<Corpus> => {
  const vocabulary = newVocabulary()
  const tokens = uint32List()
  let [sentences, words] = [0, 0]
  const takeWord = (bytes: Uint8Array, start: number, end: number, line: number): void => {
    const word = vocabulary.add(bytes, start, end)
    if (word > sentenceEnd) {
      tokens.push(word)
      words++
    } else if (!skipSymbols)
      throw inputError(
        `${source.name}, line ${line}`,
        `words of a text (--skip-symbols takes ${specialWords.join(', ')} for blanks)`,
        `${specialWords[word]}`,
      )
  }
  const takeLine = (bytes: Uint8Array, start: number, end: number, line: number): void => {
    for (let i = 1; i < order; i++) tokens.push(sentenceStart)
    for (let at = start; at < end; ) {
      if (isBlank[bytes[at] as number] === 1) at++
      else {
        const from = at
        do at++
        while (at < end && isBlank[bytes[at] as number] === 0)
        takeWord(bytes, from, at, line)
      }
    }
    tokens.push(sentenceEnd)
    sentences++
    if (tokens.length() > mostTokens) throw inputError(source.name, `at most ${mostTokens} words`, 'more')
  }
  await eachTextLine(source, takeLine, signal)
  if (words === 0) throw inputError(source.name, 'a text of at least one word', 'none')
  return { vocabulary, tokens: tokens.numbers(), order, sentences, words }
}

// Suffix order: n-grams sorted by their last word, then the one before it, and so on. N-grams with the same ending are neighbors.
/**
 * One pass of a radix sort: `places` in the order of keys[place · scale + offset]. The sort is stable. Keys are below `bound`.
 */
export const sortedByKey = (places: Uint32Array, keys: Uint32Array, scale: number, offset: number, bound: number): Uint32Array => {
  const next = new Uint32Array(bound + 1)
  for (let i = 0; i < places.length; i++) {
    const key = keys[(places[i] as number) * scale + offset] as number
    next[key + 1] = (next[key + 1] as number) + 1
  }
  for (let key = 1; key <= bound; key++) next[key] = (next[key] as number) + (next[key - 1] as number)
  const sorted = new Uint32Array(places.length)
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as number
    const key = keys[place * scale + offset] as number
    const to = next[key] as number
    sorted[to] = place
    next[key] = to + 1
  }
  return sorted
}
