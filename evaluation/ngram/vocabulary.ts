/** Words as numbers, in the order of their first occurrence, and lists of numbers that grow. */
import { inputError } from '../../accelerated/errors/inputError.js'

/** The numbers of the three words that every model has. */
export const unknownWord = 0
export const sentenceStart = 1
export const sentenceEnd = 2
export const specialWords = ['<unk>', '<s>', '</s>'] as const

export type Vocabulary = {
  readonly size: () => number
  /** the number of a word; `unknownWord` for one that is not there */
  readonly find: (word: string) => number
  readonly word: (number: number) => string
}

export type GrowingVocabulary = Vocabulary & {
  /** the number of a word, which is a new one where the word is */
  readonly add: (word: string) => number
}

/** Different words that a map can hold. */
const mostWords = 2 ** 24

/** A vocabulary of the three special words, to which others can be added. */
export const newVocabulary = (): GrowingVocabulary => {
  const words: string[] = [...specialWords]
  const numbers = new Map(words.map((word, number) => [word, number]))
  return {
    size: () => words.length,
    find: (word) => numbers.get(word) ?? unknownWord,
    word: (number) => words[number] ?? '',
    add: (word) => {
      const known = numbers.get(word)
      if (known !== undefined) return known
      if (words.length === mostWords) throw inputError('the vocabulary', `at most ${mostWords} different words`, 'more')
      numbers.set(word, words.length)
      return words.push(word) - 1
    },
  }
}

/** A typed array that doubles its length when it is full. */
export type NumberList<A extends Uint32Array | Float32Array> = {
  readonly push: (value: number) => void
  readonly length: () => number
  /** the numbers so far, without a copy */
  readonly numbers: () => A
}

const makeNumberList = <A extends Uint32Array | Float32Array>(make: (length: number) => A): NumberList<A> => {
  let array = make(1 << 10)
  let length = 0
  return {
    push: (value) => {
      if (length === array.length) {
        const larger = make(2 * length)
        larger.set(array)
        array = larger
      }
      array[length++] = value
    },
    length: () => length,
    numbers: () => array.subarray(0, length) as A,
  }
}

export const uint32List = (): NumberList<Uint32Array> => makeNumberList((length) => new Uint32Array(length))
export const float32List = (): NumberList<Float32Array> => makeNumberList((length) => new Float32Array(length))
