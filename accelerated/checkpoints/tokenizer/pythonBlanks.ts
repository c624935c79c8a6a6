/** Python's whitespace, for published tokenizers: JavaScript's plus four separators and NEL, without U+FEFF. */

/** A character class without its brackets. */
export const blank = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'

const word = new RegExp(`[^${blank}]+`, 'g')
const isBlank = new RegExp(`[${blank}]`)

/** Splits at blanks: `' a  b'` → `a`, `b`. */
export const splitBlanks = (text: string): readonly string[] => text.match(word) ?? []

/** Removes blanks at the end. A regular expression would take quadratic time for blanks elsewhere. */
export const withoutLastBlanks = (text: string): string => {
  let end = text.length
  while (end > 0 && isBlank.test(text.charAt(end - 1))) end--
  return text.slice(0, end)
}

/** A text without certain characters at its sides. */

export type Sides = { readonly left: boolean; readonly right: boolean }

/** @param drops whether a character goes, if it is at a side */
export const strip = (text: string, { left, right }: Sides, drops: (character: string) => boolean): string => {
  let [start, end] = [0, text.length]
  if (left)
    for (const character of text) {
      if (!drops(character)) break
      start += character.length
    }
  while (right && start < end) {
    const last = [...text.slice(Math.max(start, end - 2), end)].at(-1) ?? '' // it may have two units of UTF-16
    if (!drops(last)) break
    end -= last.length
  }
  return text.slice(start, end)
}
