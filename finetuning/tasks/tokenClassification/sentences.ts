/** The words of a text, and tagged sentences as a file has them. A word is a run of letters and digits, or any other visible character by itself. */
import type { Placed } from '../../data/rows.js'

/** Characters of scripts that are written without blanks are words by themselves, as published datasets have them. */
const alone = '\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}'
const word = new RegExp(`[${alone}]|(?:(?![${alone}])[\\p{L}\\p{M}\\p{N}_])+|\\S`, 'gu')

/** Where each word begins and ends, one after another: `Hi, Ann` → 0 2 2 3 4 7. */
export const wordsIn = (text: string): Int32Array =>
  Int32Array.from(Array.from(text.matchAll(word)).flatMap(({ 0: match, index }) => [index, index + match.length]))

/** Tokens with a blank between each two, as one text, and where each begins and ends in it. */
export const joinedTokens = (tokens: readonly string[]): { readonly text: string; readonly words: Int32Array } => {
  const words = new Int32Array(2 * tokens.length)
  let at = 0
  tokens.forEach((token, i) => {
    words[2 * i] = at
    words[2 * i + 1] = at + token.length
    at += token.length + 1
  })
  return { text: tokens.join(' '), words }
}

/** Offsets of characters, which are Unicode code points as in Python, and of code units, which JavaScript counts. */
export type CharacterOffsets = {
  /** NaN beyond the text */
  readonly toUnit: (character: number) => number
  /** the characters before a code unit */
  readonly toCharacter: (unit: number) => number
}

export const characterOffsets = (text: string): CharacterOffsets => {
  const within = (offset: number): number => (offset <= text.length ? offset : NaN)
  if (!/[\ud800-\udfff]/.test(text)) return { toUnit: within, toCharacter: within }
  const units: number[] = []
  const characters: number[] = []
  let unit = 0
  for (const character of text) {
    for (let i = 0; i < character.length; i++) characters.push(units.length)
    units.push(unit)
    unit += character.length
  }
  characters.push(units.length)
  units.push(unit)
  return { toUnit: (character) => units[character] ?? NaN, toCharacter: (at) => characters[at] ?? NaN }
}

/** What readers of tagged sentences share: their options, and the sentences as a file has them. */

export type TaggedOptions = Placed & {
  /** Rows: the column of the tokens or of the text. By default `tokens` or `text`. */
  readonly text?: string
  /** Rows: the column of the tags or of the spans. By default `ner_tags`, `tags`, `spans` or `entities`. */
  readonly label?: string
  /** The encoding of the file, such as `windows-1252`; UTF-8 by default. */
  readonly encoding?: string
  /** The tags that numbers stand for, in order, separated by commas. */
  readonly tagNames?: string
  /** The classes of the training data, which an evaluation file must keep to. */
  readonly labelNames?: readonly string[]
  /** Skip sentences without text or tags, and those with a span that is not of whole words, instead of refusing the file. */
  readonly skipMissing?: boolean
}

/** A sentence as a file has it; `words` as in `Example`. */
export type Sentence = { readonly text: string; readonly words: Int32Array; readonly tags: readonly string[] }

export type TakeSentence = (row: number, sentence: Sentence) => void

/** Reads all sentences of a file. @param skip is called for a row that is not read, if rows may be skipped @throws InputError */
export type ReadSentences = (
  file: string,
  options: TaggedOptions,
  take: TakeSentence,
  skip: (row: number, reason: string) => void,
) => Promise<void>

/** Words of a sentence: more are a file without blank lines. */
export const mostWords = 100_000
