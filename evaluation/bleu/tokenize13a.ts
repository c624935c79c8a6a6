/** The tokenizer of WMT's mteval-v13a.pl and sacrebleu's `13a`. Marks are words, except . and , within numbers and - not after one. */
import { splitBlanks, withoutLastBlanks } from '../../accelerated/checkpoints/tokenizer/pythonBlanks.js'

/** In this order: `&amp;lt;` is a `<`. */
const entities: ReadonlyArray<readonly [RegExp, string]> = [
  [/&quot;/g, '"'],
  [/&amp;/g, '&'],
  [/&lt;/g, '<'],
  [/&gt;/g, '>'],
]

/** Applied in order, each to the whole text. The text has a blank at both ends, so that every mark has neighbors. */
const marks: ReadonlyArray<readonly [RegExp, string]> = [
  [/[ -&(-+/:-@[-`{-~]/g, ' $& '], // of ASCII all but ' , - .
  [/([^0-9])([.,])/g, '$1 $2 '],
  [/([.,])([^0-9])/g, ' $1 $2'],
  [/([0-9])-/g, '$1 - '],
]

const replaced = (text: string, rules: ReadonlyArray<readonly [RegExp, string]>): string =>
  rules.reduce((so, [pattern, by]) => so.replace(pattern, by), text)

/** Words of a line, which may contain SGML entities. */
export const tokenize13a = (line: string): ReadonlyArray<string> => {
  const joined = withoutLastBlanks(line).replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' ')
  const plain = joined.includes('&') ? replaced(joined, entities) : joined
  return splitBlanks(replaced(` ${plain} `, marks))
}
