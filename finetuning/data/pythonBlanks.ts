/** Blanks as Python knows them, which the published tokenizers are written in: JavaScript's, four separators and NEL more, U+FEFF less. */

/** For within the brackets of a regular expression. */
export const blank = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'

const word = new RegExp(`[^${blank}]+`, 'g')
const isBlank = new RegExp(`[${blank}]`)

/** What stands between blanks: `' a  b'` → `a`, `b`. */
export const splitBlanks = (text: string): ReadonlyArray<string> => text.match(word) ?? []

/** Without the blanks at its end; a loop, since a regular expression takes the square of a run of blanks that is not at the end. */
export const withoutLastBlanks = (text: string): string => {
  let end = text.length
  while (end > 0 && isBlank.test(text.charAt(end - 1))) end--
  return text.slice(0, end)
}
