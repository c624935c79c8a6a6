/** Python's whitespace, for published tokenizers: JavaScript's plus four separators and NEL, without U+FEFF. */

/** A character class without its brackets. */
export const blank = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'

const word = new RegExp(`[^${blank}]+`, 'g')
const isBlank = new RegExp(`[${blank}]`)

/** Splits at blanks: `' a  b'` → `a`, `b`. */
export const splitBlanks = (text: string): ReadonlyArray<string> => text.match(word) ?? []

/** Removes blanks at the end. A regular expression would take quadratic time for blanks elsewhere. */
export const withoutLastBlanks = (text: string): string => {
  let end = text.length
  while (end > 0 && isBlank.test(text.charAt(end - 1))) end--
  return text.slice(0, end)
}
