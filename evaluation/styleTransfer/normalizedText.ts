/** The form in which sentences of style transfer are compared: lower case, NLTK's words between blanks (TSST's preprocessing, Xiao et al., 2021). */
import { bleuTokenizers } from '../bleu/index.js'

/** → words between blanks. Of text that is in this form already nothing changes but quotation marks. */
export const normalized = (sentence: string): string => bleuTokenizers.words(sentence.toLowerCase()).join(' ')

/**
 * A human rewriting as the published numbers have it: normalized, with a period where it ends without a mark, and tokenized once more, since their
 * file of references was.
 */
export const normalizedReference = (sentence: string): string => {
  const words = normalized(sentence)
  return bleuTokenizers.words(/[.!?]$/.test(words) ? words : `${words} .`).join(' ')
}

/** The one line that an answer is asked for: its first that is not blank. */
export const firstLine = (answer: string): string => answer.trimStart().split('\n')[0]?.trim() ?? ''
