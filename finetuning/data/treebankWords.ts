/**
 * The words of NLTK 3.9's `word_tokenize(text, preserve_line=True)`: Penn Treebank tokenization (R. MacIntyre's sed script) with Unicode quotes.
 * `"` becomes `` or '' by its position. Clitics ('s, n't, 'll) and halves of contractions (can not, gim me) are words.
 */
import { blank, splitBlanks, withoutLastBlanks } from '../../accelerated/checkpoints/tokenizer/pythonBlanks.js'

/** Python's \w, which is Unicode-aware. */
const letter = '[\\p{L}\\p{N}_]'
/** Python's (?i) matches these as i, JavaScript's does not. */
const i = '[i\u0130\u0131]'

type Rule = (text: string) => string
const replace =
  (pattern: RegExp, by: string): Rule =>
  (text) =>
    text.replace(pattern, by)
const separated = (pattern: RegExp): Rule => replace(pattern, ' $& ')

/** Separates the period that ends the text, before closing quotes and brackets. Any other period is part of its word. */
const lastPeriod: Rule = (text) => {
  const at = text.lastIndexOf('.')
  if (at < 1 || text[at - 1] === '.') return text
  const closing = withoutLastBlanks(text.slice(at + 1))
  return /^[\])}>"'»”’ ]*$/.test(closing) ? `${text.slice(0, at)} . ${closing} ` : text
}

/** Applied to the whole text in this order: each rule sees the blanks that earlier rules insert. */
const beforePadding: readonly Rule[] = [
  separated(/[«“‘„]|`+/g),
  replace(/^"/, '``'),
  separated(/``/g),
  replace(/([ ([{<])(?:"|'')/g, '$1 `` '),
  replace(new RegExp(`'(?![mtsdn])(${letter})(?!${letter})`, 'giu'), "' $1"), // 'x' is a quoted letter; 's and others are clitics
  lastPeriod,
  replace(/([:,])(\P{Nd})/gu, ' $1 $2'), // not within numbers; the first of two in a row
  separated(/[:,]$/),
  separated(/\.{2,}/g),
  separated(/[;@#$%&?!]/g),
  replace(/([^'])' /g, "$1 ' "),
  separated(/[*\][(){}<>]/g),
  separated(/--/g),
]

const contraction = (first: string, second: string): Rule =>
  replace(new RegExp(`(?<!${letter})(${first})(${second})(?!${letter})`, 'giu'), ' $1 $2 ')

/** For a text with a blank at each end. */
const afterPadding: readonly Rule[] = [
  separated(/[»”’]/g),
  replace(/''|"/g, " '' "),
  replace(new RegExp(`[${blank}]+`, 'g'), ' '),
  replace(/([^' ])('[sSmMdD]?) /g, '$1 $2 '),
  replace(/([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) /g, '$1 $2 '),
  contraction('can', 'not'),
  contraction('d', "'ye"),
  contraction(`g${i}m`, 'me'),
  contraction('gon', 'na'),
  contraction('got', 'ta'),
  contraction('lem', 'me'),
  contraction('more', "'n"),
  replace(new RegExp(`(?<!${letter})(wan)(na) `, 'giu'), ' $1 $2 '),
  replace(new RegExp(` ('t)(${i}s)(?!${letter})`, 'giu'), ' $1 $2 '),
  replace(new RegExp(` ('t)(was)(?!${letter})`, 'giu'), ' $1 $2 '),
]

const applied = (text: string, rules: readonly Rule[]): string => rules.reduce((so, rule) => rule(so), text)

/** The words of one sentence. A line counts as one sentence: a period inside it ends nothing. */
export const treebankWords = (line: string): readonly string[] => splitBlanks(applied(` ${applied(line, beforePadding)} `, afterPadding))
