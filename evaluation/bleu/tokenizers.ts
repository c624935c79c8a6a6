/** Tokenizers by name: they split a line into the words that BLEU compares. */
import { splitBlanks, withoutLastBlanks } from '../../accelerated/checkpoints/tokenizer/pythonBlanks.js'
import { treebankWords } from '../../finetuning/data/treebankWords.js'

// The tokenizer of WMT's mteval-v13a.pl and sacrebleu's `13a`. Marks are words, except . and , within numbers and - not after one.
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
const tokenize13a = (line: string): ReadonlyArray<string> => {
  const joined = withoutLastBlanks(line).replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' ')
  const plain = joined.includes('&') ? replaced(joined, entities) : joined
  return splitBlanks(replaced(` ${plain} `, marks))
}

/** `13a`: mteval-v13a's, for plain text · `none`: at blanks, for tokenized text · `words`: NLTK's word_tokenize. */
export const bleuTokenizers = { '13a': tokenize13a, none: splitBlanks, words: treebankWords } as const satisfies Readonly<
  Record<string, (line: string) => ReadonlyArray<string>>
>
export type BleuTokenizer = keyof typeof bleuTokenizers
