/**
 * Detokenization: turns tokenized, lower-cased or escaped lines of a corpus back into ordinary sentences.
 *
 * The rules are approximate on purpose: pre-training text has to resemble the reviews that the model reads later, not to be exact.
 */

/** A 32-bit hash of a text (FNV-1a with a final mix), the same on every machine. */
export const hashText = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Joins double quotation marks to what they enclose: the first opens, the second closes, and so on. */
const joinQuotationMarks = (text: string): string => {
  const parts = text.split(/\s*"\s*/)
  // An odd mark has no partner: its side is known only at either end of the text.
  if (parts.length % 2 === 0) return text.replace(/^" /, '"').replace(/ "$/, '"')
  const opening = (before: string): string => (before === '' || /[([]$/.test(before) ? '"' : ' "')
  const closing = (after: string): string => (after === '' || /^[.,;:!?)\]]/.test(after) ? '"' : '" ')
  return parts.reduce((joined, part, i) => joined + (i % 2 === 1 ? opening(joined) : closing(part)) + part)
}

/** Puts punctuation back against its word: `it is n't ( very ) good .` becomes `it isn't (very) good.` */
export const joinPunctuation = (text: string): string =>
  joinQuotationMarks(text)
    .replace(/ (n't|'s|'m|'re|'ve|'ll|'d)(?![\w])/gi, '$1')
    .replace(/s ' /g, "s' ")
    .replace(/ +([.,;:!?%)\]]|\.\.\.)(?=[\s.,;:!?)\]"']|$)/g, '$1')
    .replace(/([([$#£]) +/g, '$1')
    .replace(/ {2,}/g, ' ')
    .trim()

/** A WikiText raw line: ` @-@ `, ` @,@ ` and ` @.@ ` mean a sign without blanks around it. */
export const restoreWikiText = (line: string): string => joinPunctuation(line.replace(/ @([-,.])@ /g, '$1'))

const ORDINARY_NUMBERS = [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 45, 50, 60, 90, 100, 200]

/** Replaces each `_num_` by a number drawn from the line's hash: the original is lost, and reviews never contain `_num_`. */
const restoreNumbers = (line: string): string => {
  const hash = hashText(line)
  let drawn = 0
  return line.replace(/_num_/g, () => {
    drawn += 1
    return String(ORDINARY_NUMBERS[(hash + drawn * 7919) % ORDINARY_NUMBERS.length])
  })
}

/** Restores a line of the Yelp corpus (lower case, tokenized, numbers masked) to ordinary spelling. */
export const restoreReview = (line: string): string =>
  joinPunctuation(restoreNumbers(line).replace(/``|''/g, '"').replace(/ -- /g, ' - '))
    .replace(/(?<![\w'.])i(?![\w-]|\.\w)/g, 'I')
    .replace(/^(\W*)([a-z])/, (_, before: string, letter: string) => before + letter.toUpperCase())
    .replace(/([.!?] )([a-z])/g, (_, before: string, letter: string) => before + letter.toUpperCase())
