/** A training text as numbers. Each sentence starts with as many <s> as the longest context has words, and ends with </s>. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { uint32List } from './numberList.js'
import { eachTextLine, type TextSource } from './textLines.js'
import { newVocabulary, sentenceEnd, sentenceStart, specialWords, type Vocabulary } from './vocabulary.js'

export type Corpus = {
  readonly vocabulary: Vocabulary
  /** words by number; before each sentence `order` − 1 times <s> */
  readonly tokens: Uint32Array
  readonly order: number
  readonly sentences: number
  /** without <s> and </s> */
  readonly words: number
}

export type CorpusOptions = {
  readonly order: number
  /** read <s>, </s> and <unk> in the text as blanks instead of refusing them */
  readonly skipSymbols: boolean
}

/** The separators of words, as in lmplz; a line feed ends the line. */
const isBlank = new Uint8Array(256)
for (const byte of Buffer.from('\0\t\r ')) isBlank[byte] = 1

/** Maximum length of an array of numbers. */
const mostTokens = 2 ** 32 - 2

/**
 * Reads a text of one sentence a line; an empty line is an empty sentence, as for lmplz.
 * @throws InputError for an empty text, a special word in it (unless they are skipped), bytes that are not UTF-8
 */
export const readCorpus = async (source: TextSource, { order, skipSymbols }: CorpusOptions, signal?: AbortSignal): Promise<Corpus> => {
  const vocabulary = newVocabulary()
  const tokens = uint32List()
  let [sentences, words] = [0, 0]
  const takeWord = (bytes: Uint8Array, start: number, end: number, line: number): void => {
    const word = vocabulary.add(bytes, start, end)
    if (word > sentenceEnd) {
      tokens.push(word)
      words++
    } else if (!skipSymbols)
      throw inputError(
        `${source.name}, line ${line}`,
        `words of a text (--skip-symbols takes ${specialWords.join(', ')} for blanks)`,
        `${specialWords[word]}`,
      )
  }
  const takeLine = (bytes: Uint8Array, start: number, end: number, line: number): void => {
    for (let i = 1; i < order; i++) tokens.push(sentenceStart)
    for (let at = start; at < end; ) {
      if (isBlank[bytes[at] as number] === 1) at++
      else {
        const from = at
        do at++
        while (at < end && isBlank[bytes[at] as number] === 0)
        takeWord(bytes, from, at, line)
      }
    }
    tokens.push(sentenceEnd)
    sentences++
    if (tokens.length() > mostTokens) throw inputError(source.name, `at most ${mostTokens} words`, 'more')
  }
  await eachTextLine(source, takeLine, signal)
  if (words === 0) throw inputError(source.name, 'a text of at least one word', 'none')
  return { vocabulary, tokens: tokens.numbers(), order, sentences, words }
}
