/** A back-off n-gram model: a tree of n-grams by their last words. An n-gram's parent is the n-gram without its first word. */
import type { Vocabulary } from './vocabulary.js'

/** The n-grams of one order, in suffix order; of order 1, by the word's number. */
export type Level = {
  /** the first word of each; empty for order 1 */
  readonly words: Uint32Array
  /** log10 p of the last word after the others; `blank` for an n-gram that is only a suffix of longer ones */
  readonly probabilities: Float32Array
  /** log10 of the back-off weight of the n-gram as a context; empty for the highest order */
  readonly backoffs: Float32Array
  /** children[i]..children[i + 1]: the n-grams of the next order that end in this one, by first word; empty for the highest order */
  readonly children: Uint32Array
}

export type BackoffModel = {
  readonly vocabulary: Vocabulary
  /** by order, from 1 */
  readonly levels: ReadonlyArray<Level>
}

/** Marks an n-gram without a probability; no log10 p is above 0. */
export const blank = 1

/** The largest log10 of a model's numbers, with either sign: beyond it, probabilities and perplexities leave float64. */
export const largestLog10 = 300

/** log10 p of an unknown word where a model has no <unk>, as KenLM has it. */
export const withoutUnknown = -100

export const countOf = ({ probabilities }: Level): number => {
  let count = 0
  for (const probability of probabilities) if (probability !== blank) count++
  return count
}
