/** A back-off n-gram model: n-grams in a tree by their last words, so that each stands below the n-gram that it ends in, and log10 p of a word in its context. */
import { sentenceStart, type Vocabulary } from './vocabulary.js'

/** The n-grams of one order, in suffix order; of order 1, by the word's number. */
export type Level = {
  /** the first word of each; empty for order 1 */
  readonly words: Uint32Array
  /** log10 p of the last word after the others; `blank` for one that is not in the model, but its last words are in longer ones that are */
  readonly probabilities: Float32Array
  /** log10 of the weight of what is shorter, where the n-gram is a context; empty for the highest order */
  readonly backoffs: Float32Array
  /** children[i]..children[i + 1]: the n-grams of the next order that end in this one, by first word; empty for the highest order */
  readonly children: Uint32Array
}

export type BackoffModel = {
  readonly vocabulary: Vocabulary
  /** by order, from 1 */
  readonly levels: ReadonlyArray<Level>
}

/** No logarithm of a probability. */
export const blank = 1

/** log10 p of an unknown word where a model has no <unk>, as KenLM has it. */
export const withoutUnknown = -100

export const countOf = ({ probabilities }: Level): number => {
  let count = 0
  for (const probability of probabilities) if (probability !== blank) count++
  return count
}

/** The n-gram `word` + (n-gram `parent` of the level above), as its place in `words`; −1 where there is none. */
export const childOf = (children: Uint32Array, words: Uint32Array, parent: number, word: number): number => {
  let low = children[parent] as number
  let high = (children[parent + 1] as number) - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const found = words[middle] as number
    if (found === word) return middle
    if (found < word) low = middle + 1
    else high = middle - 1
  }
  return -1
}

export type Scorer = {
  /** forgets what came before: a sentence begins (its context is <s>), or with 'nothing' a text of which no begin is known */
  readonly begin: (context?: 'sentence' | 'nothing') => void
  /** log10 p(word | what came before it), and goes on behind it */
  readonly next: (word: number) => number
  /** how long the n-gram was whose probability the last one is */
  readonly matched: () => number
}

/**
 * p(w | h) = p of the longest n-gram of the model that h and w end in × the back-off weights of the contexts longer than its own (Katz 1987,
 * as KenLM's `query`). The weights of the contexts are those met when their last word was scored: no context is looked up.
 */
export const openScorer = ({ levels }: BackoffModel): Scorer => {
  const order = levels.length
  const first = levels[0] as Level
  const words = levels.map((level) => level.words)
  const probabilities = levels.map((level) => level.probabilities)
  const backoffs = levels.map((level) => level.backoffs)
  const children = levels.map((level) => level.children)
  const history = new Uint32Array(order) // history[0]: the word before
  let contexts = new Float64Array(order) // contexts[k]: the weight of the context of k + 1 words
  let fresh = new Float64Array(order)
  let length = 0
  let matched = 0
  const begin = (context: 'sentence' | 'nothing' = 'sentence'): void => {
    length = context === 'sentence' && order > 1 ? 1 : 0
    history[0] = sentenceStart
    contexts[0] = first.backoffs[sentenceStart] ?? 0
  }
  const next = (word: number): number => {
    let node = word
    let log10 = first.probabilities[word] as number
    let longest = 1 // n-gram that is there, if only as a blank
    matched = 1
    if (order > 1) fresh[0] = first.backoffs[word] as number
    while (longest <= length) {
      const below = words[longest] as Uint32Array
      const child = childOf(children[longest - 1] as Uint32Array, below, node, history[longest - 1] as number)
      if (child === -1) break
      const probability = (probabilities[longest] as Float32Array)[child] as number
      if (longest + 1 < order) fresh[longest] = (backoffs[longest] as Float32Array)[child] as number
      longest++
      node = child
      if (probability === blank) continue
      log10 = probability
      matched = longest
    }
    for (let k = matched - 1; k < length; k++) log10 += contexts[k] as number
    length = Math.min(longest, order - 1)
    for (let k = length - 1; k > 0; k--) history[k] = history[k - 1] as number
    history[0] = word
    ;[contexts, fresh] = [fresh, contexts]
    return log10
  }
  begin()
  return { begin, next, matched: () => matched }
}
