/** Builds the tree of a back-off model from n-grams in any order. Repeated n-grams, and those without a context, are refused. */
import { blank, withoutUnknown, type BackoffModel, type Level } from './backoffModel.js'
import { sortedByKey } from './suffixOrder.js'
import { unknownWord, type Vocabulary } from './vocabulary.js'

/** The n-grams of one order as they were listed: `order` words each, in the order of speech. */
export type ListedOrder = {
  readonly words: Uint32Array
  readonly probabilities: Float32Array
  readonly backoffs: Float32Array
}

/** Which n-gram of a list is wrong, and why. @returns what to throw */
export type Complain = (order: number, listed: number, problem: 'twice' | 'without context') => Error

/** The same n-grams in suffix order. */
type SortedOrder = ListedOrder

/**
 * The model of these n-grams. If an n-gram's last words are no n-gram of their own, a blank takes their place in the tree.
 * @param listed by order, from 1; the words of order 1 are all that there are, once each, but perhaps <unk>
 */
export const modelOfNgrams = (vocabulary: Vocabulary, listed: ReadonlyArray<ListedOrder>, complain: Complain): BackoffModel => {
  const sorted: SortedOrder[] = [wordsByNumber(vocabulary, listed[0] as ListedOrder)]
  for (let n = 2; n <= listed.length; n++)
    sorted.push(inSuffixOrder(listed[n - 1] as ListedOrder, n, sorted[n - 2] as SortedOrder, vocabulary.size(), complain))
  for (let n = listed.length; n > 2; n--) sorted[n - 2] = withBlanks(sorted[n - 2] as SortedOrder, n - 1, sorted[n - 1] as SortedOrder)
  const levels = sorted.map(({ words, probabilities, backoffs }, i): Level => {
    const above = sorted[i + 1]
    return {
      words: i === 0 ? new Uint32Array(0) : Uint32Array.from(probabilities, (_, gram) => words[gram * (i + 1)] as number),
      probabilities,
      backoffs: above === undefined ? new Float32Array(0) : backoffs,
      children: above === undefined ? new Uint32Array(0) : childrenOf(words, i + 1, above.words),
    }
  })
  return { vocabulary, levels }
}

const wordsByNumber = (vocabulary: Vocabulary, { words, probabilities, backoffs }: ListedOrder): SortedOrder => {
  const size = vocabulary.size()
  const byNumber = {
    words: Uint32Array.from({ length: size }, (_, i) => i),
    probabilities: new Float32Array(size),
    backoffs: new Float32Array(size),
  }
  byNumber.probabilities[unknownWord] = withoutUnknown
  words.forEach((word, i) => {
    byNumber.probabilities[word] = probabilities[i] as number
    byNumber.backoffs[word] = backoffs[i] as number
  })
  return byNumber
}

/** Sorts n-grams of order n. Each must occur once, and its context must be among the n-grams of the order below. */
const inSuffixOrder = (
  { words, probabilities, backoffs }: ListedOrder,
  n: number,
  below: SortedOrder,
  size: number,
  complain: Complain,
): SortedOrder => {
  let places: Uint32Array = Uint32Array.from(probabilities, (_, i) => i)
  for (let k = 0; k < n - 1; k++) places = sortedByKey(places, words, n, k, size)
  checkContexts(places, words, n, below.words, complain)
  places = sortedByKey(places, words, n, n - 1, size)
  for (let i = 1; i < places.length; i++) {
    const [one, other] = [places[i - 1] as number, places[i] as number]
    if (compared(words, one * n, words, other * n, n) === 0) throw complain(n, Math.max(one, other), 'twice')
  }
  const sortedWords = new Uint32Array(words.length)
  for (let i = 0; i < places.length; i++) {
    const from = (places[i] as number) * n
    for (let k = 0; k < n; k++) sortedWords[i * n + k] = words[from + k] as number
  }
  const picked = (values: Float32Array): Float32Array => Float32Array.from(places, (place) => values[place] as number)
  return { words: sortedWords, probabilities: picked(probabilities), backoffs: picked(backoffs) }
}

/** `places` are in the suffix order of the contexts, as the order below is: one walk along both. */
const checkContexts = (places: Uint32Array, words: Uint32Array, n: number, below: Uint32Array, complain: Complain): void => {
  const contexts = below.length / (n - 1)
  let context = 0
  for (const place of places) {
    while (context < contexts && compared(below, context * (n - 1), words, place * n, n - 1) < 0) context++
    if (context === contexts || compared(below, context * (n - 1), words, place * n, n - 1) !== 0)
      throw complain(n, place, 'without context')
  }
}

/** a[at ..] and b[other ..], `n` words each, from the last to the first. */
const compared = (a: Uint32Array, at: number, b: Uint32Array, other: number, n: number): number => {
  for (let k = n - 1; k >= 0; k--) {
    const difference = (a[at + k] as number) - (b[other + k] as number)
    if (difference !== 0) return difference
  }
  return 0
}

/** Order n with a blank for each of the last words of order n + 1 that it lacks. */
const withBlanks = (order: SortedOrder, n: number, above: SortedOrder): SortedOrder => {
  const missing = missingSuffixes(order.words, n, above.words)
  if (missing.length === 0) return order
  const count = order.probabilities.length + missing.length
  const merged = { words: new Uint32Array(count * n), probabilities: new Float32Array(count), backoffs: new Float32Array(count) }
  for (let i = 0, there = 0, absent = 0; i < count; i++) {
    const at = absent < missing.length ? (missing[absent] as number) : -1
    const takesOwn = there < order.probabilities.length && (at === -1 || compared(order.words, there * n, above.words, at, n) < 0)
    merged.words.set(takesOwn ? order.words.subarray(there * n, there * n + n) : above.words.subarray(at, at + n), i * n)
    merged.probabilities[i] = takesOwn ? (order.probabilities[there] as number) : blank
    merged.backoffs[i] = takesOwn ? (order.backoffs[there] as number) : 0
    if (takesOwn) there++
    else absent++
  }
  return merged
}

/** The suffixes of n words in `above`, of order n + 1, that are missing in `words`: the index of each, once. */
const missingSuffixes = (words: Uint32Array, n: number, above: Uint32Array): ReadonlyArray<number> => {
  const missing: number[] = []
  const count = words.length / n
  let gram = 0
  for (let at = 1; at < above.length; at += n + 1) {
    while (gram < count && compared(words, gram * n, above, at, n) < 0) gram++
    if (gram < count && compared(words, gram * n, above, at, n) === 0) continue
    const before = missing.at(-1)
    if (before === undefined || compared(above, before, above, at, n) !== 0) missing.push(at)
  }
  return missing
}

/** Where the n-grams of order n + 1 begin that end in each of order n. */
const childrenOf = (words: Uint32Array, n: number, above: Uint32Array): Uint32Array => {
  const children = new Uint32Array(words.length / n + 1)
  let gram = 0
  for (let at = 1; at < above.length; at += n + 1) {
    while (compared(words, gram * n, above, at, n) < 0) gram++
    children[gram + 1] = (children[gram + 1] as number) + 1
  }
  for (let i = 1; i < children.length; i++) children[i] = (children[i] as number) + (children[i - 1] as number)
  return children
}
