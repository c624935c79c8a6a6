/** Normalized sentences of style transfer: lower case, NLTK's words between blanks (TSST's preprocessing, Xiao et al., 2021). */
import { bleuTokenizers } from '../bleu/index.js'

/** → words between blanks. Normalized text stays the same, except for quotation marks. */
export const normalized = (sentence: string): string => bleuTokenizers.words(sentence.toLowerCase()).join(' ')

/**
 * A human rewriting as in the published numbers: normalized, with a period if it ends without a mark, and tokenized once more. Their file of
 * references was prepared like this.
 */
export const normalizedReference = (sentence: string): string => {
  const words = normalized(sentence)
  return bleuTokenizers.words(/[.!?]$/.test(words) ? words : `${words} .`).join(' ')
}

/** The first line of an answer that is not blank. */
export const firstLine = (answer: string): string => answer.trimStart().split('\n')[0]?.trim() ?? ''
