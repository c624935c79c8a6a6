/** Tokens of a text for token classification: the text's own tokens, and for each word the token that its class is read from. */
import type { Encoding, Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { unlabeled } from '../../../accelerated/objectives/labeledTokens.js'
import type { TaggedExample } from './objective.js'
import { commonLength } from '../texts/learnedTokens.js'

/**
 * places: the first token of each word that is not cut off. A word without a token of its own shares that of the word before.
 * targets: as in `TaggedExample`, with one class per word.
 */
export type WordEncoding = Encoding & Pick<TaggedExample, 'places' | 'targets'>

type WordTokenizer = Pick<Tokenizer, 'ids' | 'frame' | 'start'>

/** Words between two blanks that are tokenized together. More are tokenized in parts, so that a text without blanks takes linear time. */
const mostTogether = 64

/**
 * The first token of a word has its class, and its other tokens have none, as in transformers' example of token classification.
 * @param words as in `Example` @param classes of each word @throws SettingsError or InputError as `encode` of the tokenizer
 */
export const encodeWords = (
  tokenizer: WordTokenizer,
  text: string,
  words: ArrayLike<number>,
  classes: ArrayLike<number> | null,
  maxLength: number,
): WordEncoding => {
  const before = tokenizer.start.length
  const { ids, firsts } = tokenizeWords(tokenizer, text, words, maxLength)
  const framed = tokenizer.frame(ids, maxLength)
  const room = maxLength - tokenizer.frame([], maxLength).inputIds.length
  const targets = new Int32Array(framed.inputIds.length).fill(unlabeled)
  const places: number[] = []
  for (const [word, first] of firsts.entries()) {
    if (first !== null && first >= room) break
    places.push(first === null ? (places.at(-1) ?? Math.max(0, before - 1)) : before + first)
    if (first !== null) targets[before + first] = classes?.[word] ?? 0
  }
  return { ...framed, places, targets }
}

type WordTokens = {
  /** of the whole text, or more than `most` */
  readonly ids: readonly number[]
  /** by word, the index of its first token in `ids`, null without a token of its own; shorter than the words if `ids` ends earlier */
  readonly firsts: readonly (number | null)[]
}

/** Tokenizes between blanks, so that the tokens are those of the whole text. */
const tokenizeWords = (tokenizer: WordTokenizer, text: string, words: ArrayLike<number>, most: number): WordTokens => {
  const ids: number[] = []
  const firsts: Array<number | null> = []
  const count = words.length / 2
  let done = 0 // code units of the text
  for (let word = 0; word < count && ids.length <= most; ) {
    const starts = [wordStart(words, word)]
    while (starts.length < mostTogether && wordStart(words, word + starts.length) === wordEnd(words, word + starts.length - 1))
      starts.push(wordStart(words, word + starts.length))
    const end = wordEnd(words, word + starts.length - 1)
    const chunk = text.slice(done, end)
    const tokens = tokenizer.ids(chunk)
    const at = ids.length
    for (const first of firstTokens(
      tokenizer,
      chunk,
      starts.map((start) => start - done),
      tokens,
    ))
      firsts.push(first === null ? null : at + first)
    for (const id of tokens) ids.push(id)
    word += starts.length
    done = end
  }
  if (ids.length <= most) for (const id of tokenizer.ids(text.slice(done))) ids.push(id)
  return { ids, firsts }
}

const wordStart = (words: ArrayLike<number>, word: number): number => words[2 * word] ?? NaN
const wordEnd = (words: ArrayLike<number>, word: number): number => words[2 * word + 1] ?? NaN

/** The index of the first token of each word in a chunk, blanks before the first word included; null where a token holds several words. */
const firstTokens = (
  tokenizer: WordTokenizer,
  chunk: string,
  starts: readonly number[],
  tokens: readonly number[],
): readonly (number | null)[] => {
  const blanks = starts[0] ?? 0
  // Byte-level tokenizers make tokens of all blanks but the last one.
  const ofBlanks = blanks < 2 ? 0 : Math.max(0, tokens.length - tokenizer.ids(chunk.slice(blanks - 1)).length)
  let last = -1
  return starts.map((start, i) => {
    const first = i === 0 ? ofBlanks : commonLength(tokenizer.ids(chunk.slice(0, start)), tokens)
    if (first >= tokens.length || first <= last) return null
    last = first
    return first
  })
}
