/** Reads an ARPA file, plain or gzip, line by line into a back-off model, and refuses one that contradicts itself. */
import { inputError, quoted, type InputError } from '../../accelerated/errors/inputError.js'
import { type BackoffModel, type Complain, largestLog10, type Level, ngramTables } from './backoffModel.js'
import { eachTextLine, type TextSource } from './textLines.js'
import {
  float32List,
  newVocabulary,
  sentenceEnd,
  sentenceStart,
  specialWords,
  uint32List,
  unknownWord,
  type GrowingVocabulary,
  type NumberList,
  type Vocabulary,
} from './vocabulary.js'

/** The highest order of a file: twice the highest trained order. */
const highestOrder = 12

/** Characters of a line that a message may quote. */
const quotedLength = 400

/**
 * The model in an ARPA file. An n-gram whose last words are not in the file by themselves is treated as KenLM treats it. Without <unk>, an unknown
 * word has a log10 of −100.
 * @throws InputError with file and line if the file is no ARPA file, is truncated or is not UTF-8
 * @throws InputError with file and line if a section is missing, or has another length than `\data\` says
 * @throws InputError with file and line if a probability is above 0, an n-gram is repeated, or its context or a word of it is missing
 */
export const readArpa = async (source: TextSource, signal?: AbortSignal): Promise<BackoffModel> => {
  const { name } = source
  const vocabulary = newVocabulary()
  const counts: number[] = [] // by order, as \data\ declares them
  const sections: Section[] = [] // the last one is being read
  let state: 'start' | 'counts' | 'n-grams' | 'gap' | 'end' = 'start'
  let current = 0 // the number of the current line
  const lineError: LineError = (expected, got, line = current) => inputError(`${name}, line ${line}`, expected, got)
  const { parse, hasSpecial } = ngramParser(vocabulary, lineError)
  const nextHeader = (): string => (sections.length === counts.length ? '\\end\\' : `\\${sections.length + 1}-grams:`)

  const takeHeader = (line: string): void => {
    if (line !== nextHeader()) throw lineError(nextHeader(), quoted(line))
    const [declared, actual] = [counts[sections.length - 1], sections.at(-1)?.probabilities.length()]
    if (actual !== declared) throw lineError(`${declared} ${sections.length}-grams, as \\data\\ says`, `${actual}`)
    state = sections.length === counts.length ? 'end' : 'n-grams'
    sections.push({ firstLine: current + 1, words: uint32List(), probabilities: float32List(), backoffs: float32List() })
  }
  const takeText = (line: string): void => {
    if (state === 'start') {
      if (line === '\\data\\') state = 'counts'
      else if (!line.startsWith('#')) throw lineError('an ARPA file, which begins with \\data\\', quoted(line))
    } else if (state === 'end') throw lineError('nothing after \\end\\', quoted(line))
    else if (state === 'counts' && (!line.startsWith('\\') || counts.length === 0))
      counts.push(parseCount(line, counts.length + 1, lineError))
    else takeHeader(line)
  }
  const takeLine = (line: string, number: number): void => {
    current = number
    const text = withoutLastBlanks(line)
    const section = sections.at(-1)
    if (state !== 'n-grams' || section === undefined || line.startsWith('\\')) {
      if (text !== '') takeText(text.slice(0, quotedLength))
      return
    }
    const isFirst = section.probabilities.length() === 0
    if (isFirst) section.firstLine = number
    if (text !== '') parse(text, section, sections.length, sections.length === counts.length)
    else if (!isFirst) state = 'gap'
  }
  await eachTextLine(source, takeLine, signal)
  if ((state as string) === 'start') throw inputError(name, 'an ARPA file, which begins with \\data\\', 'an empty file')
  if ((state as string) !== 'end') throw lineError(nextHeader(), 'the end of the file')
  for (const special of [sentenceStart, sentenceEnd])
    if (!hasSpecial(special)) throw inputError(name, `${specialWords[special]} among the 1-grams`, 'none')
  const levels = sections.slice(0, counts.length).map(({ words, probabilities, backoffs }, i): Level => {
    const listed = { words: words.numbers(), probabilities: probabilities.numbers(), backoffs: backoffs.numbers() }
    return i === 0 ? wordsByNumber(vocabulary.size(), listed) : listed
  })
  return { vocabulary, levels, tables: ngramTables(levels, complainer(sections, vocabulary, lineError)) }
}

/** `ngram 2=123` → 123 */
const parseCount = (line: string, expectedOrder: number, lineError: LineError): number => {
  const [, order, count] = /^ngram\s+(\d+)\s*=\s*(\d{1,10})$/.exec(line) ?? []
  if (Number(order) !== expectedOrder) throw lineError(`"ngram ${expectedOrder}=" and a number`, quoted(line))
  if (expectedOrder > highestOrder) throw lineError(`orders up to ${highestOrder}`, quoted(line))
  return Number(count)
}

/** log10 p of an unknown word where a model has no <unk>, as KenLM has it. */
const withoutUnknown = -100

const wordsByNumber = (size: number, { words, probabilities, backoffs }: Level): Level => {
  const byNumber = {
    words: Uint32Array.from({ length: size }, (_, word) => word),
    probabilities: new Float32Array(size).fill(withoutUnknown),
    backoffs: new Float32Array(backoffs.length > 0 ? size : 0),
  }
  words.forEach((word, i) => {
    byNumber.probabilities[word] = probabilities[i] as number
    byNumber.backoffs[word] = backoffs[i] as number
  })
  return byNumber
}

/** Errors of the tables, with the line of the n-gram. */
const complainer =
  (sections: readonly Section[], vocabulary: Vocabulary, lineError: LineError): Complain =>
  (order, listed, problem) => {
    const { firstLine, words } = sections[order - 1] as Section
    const parts = Array.from(words.numbers().subarray(listed * order, (listed + 1) * order), vocabulary.word)
    return problem === 'twice'
      ? lineError('each n-gram once', `${quoted(parts.join(' '))} a second time`, firstLine + listed)
      : lineError(`the context ${quoted(parts.slice(0, -1).join(' '))} among the ${order - 1}-grams`, 'none', firstLine + listed)
  }

/** Makes the error for a line of the file; without a number, for the current line. */
type LineError = (expected: string, got: string, line?: number) => InputError

/** The n-grams of one order as they are listed; the highest order has no back-off weights. */
type Section = {
  firstLine: number
  readonly words: NumberList<Uint32Array>
  readonly probabilities: NumberList<Float32Array>
  readonly backoffs: NumberList<Float32Array>
}

/** Parses lines of n-grams into a section: a probability, `order` words, and perhaps a back-off weight. */
const ngramParser = (vocabulary: GrowingVocabulary, lineError: LineError) => {
  const seenSpecial = new Set<number>()
  const parseNumber = (text: string, what: string): number => {
    const value = decimal.test(text) ? Number(text) : NaN
    if (!Number.isFinite(Math.fround(value))) throw lineError(`a finite number for ${what}`, quoted(text))
    if (Math.abs(value) > largestLog10) throw lineError(`a log10 from -${largestLog10} to ${largestLog10} for ${what}`, text)
    return value
  }
  const addWord = (text: string): number => {
    const before = vocabulary.size()
    const word = isUnknown.test(text) ? unknownWord : vocabulary.add(text)
    const isNew = word <= sentenceEnd ? !seenSpecial.has(word) : word === before
    if (!isNew) throw lineError('each n-gram once', `${quoted(text)} a second time`)
    if (word <= sentenceEnd) seenSpecial.add(word)
    return word
  }
  const findWord = (text: string): number => {
    const word = vocabulary.find(text)
    if (word === unknownWord && !isUnknown.test(text)) throw lineError('words that are among the 1-grams', quoted(text))
    return word
  }
  const parse = (line: string, { words, probabilities, backoffs }: Section, order: number, isHighest: boolean): void => {
    const [first = '', ...parts] = splitParts(line, order + 3)
    if (parts.length !== order && parts.length !== order + 1)
      throw lineError(
        `a probability, ${order === 1 ? 'a word' : `${order} words`} and at most a back-off weight`,
        parts.length > order ? 'more' : `${parts.length + 1} of them`,
      )
    const probability = parseNumber(first, 'the probability')
    if (probability > 0) throw lineError('the log10 of a probability, at most 0', first)
    const backoff = parts.length > order ? parseNumber(parts[order] ?? '', 'the back-off weight') : 0
    if (isHighest && backoff !== 0) throw lineError('no back-off weight at the highest order', `${backoff}`)
    if (order === 1) words.push(addWord(parts[0] ?? ''))
    else for (let i = 0; i < order; i++) words.push(findWord(parts[i] ?? ''))
    probabilities.push(probability)
    if (!isHighest) backoffs.push(backoff)
  }
  return { parse, hasSpecial: (word: number): boolean => seenSpecial.has(word) }
}

const decimal = /^[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?$/i

/** Like KenLM, reads <UNK> as <unk>. */
const isUnknown = /^<unk>$/i

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09 || code === 0x0d

/** At most `most` parts of a line with blanks between them: by hand, since regular expressions take twice as long. */
const splitParts = (line: string, most: number): readonly string[] => {
  const parts: string[] = []
  for (let at = 0; at < line.length && parts.length < most; ) {
    const from = at
    while (at < line.length && !isBlank(line.charCodeAt(at))) at++
    if (at > from) parts.push(line.slice(from, at))
    else at++
  }
  return parts
}

/** A regular expression for the end of a text would take quadratic time. */
const withoutLastBlanks = (text: string): string => {
  let end = text.length
  while (end > 0 && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(0, end)
}
