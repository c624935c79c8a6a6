/** Reads an ARPA file, plain or gzip, line by line into a back-off model, and refuses one that contradicts itself. */
import { inputError, quoted, type InputError } from '../../accelerated/errors/inputError.js'
import { type BackoffModel, type Complain, largestLog10, type Level, ngramTables } from './backoffModel.js'
import { eachTextLine, type TextSource } from './textLines.js'
import {
  newVocabulary,
  sentenceEnd,
  sentenceStart,
  specialWords,
  type Vocabulary,
  unknownWord,
  type GrowingVocabulary,
  float32List,
  type NumberList,
  uint32List,
} from './vocabulary.js'

/** The highest order of a file: twice the highest trained order. */
const highestOrder = 12

const [backslash, hash] = [0x5c, 0x23]

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
  const takeText = (line: string, first: number | undefined): void => {
    if (state === 'start') {
      if (line === '\\data\\') state = 'counts'
      else if (first !== hash) throw lineError('an ARPA file, which begins with \\data\\', quoted(line))
    } else if (state === 'end') throw lineError('nothing after \\end\\', quoted(line))
    else if (state === 'counts' && (first !== backslash || counts.length === 0)) counts.push(parseCount(line, counts.length + 1, lineError))
    else takeHeader(line)
  }
  const takeLine = (bytes: Uint8Array, start: number, lineEnd: number, number: number): void => {
    current = number
    let end = lineEnd
    while (end > start && isBlank(bytes[end - 1] as number)) end--
    const section = sections.at(-1)
    if (state !== 'n-grams' || section === undefined || bytes[start] === backslash) {
      if (end > start) takeText(Buffer.from(bytes.subarray(start, Math.min(end, start + quotedLength))).toString(), bytes[start])
      return
    }
    const isFirst = section.probabilities.length() === 0
    if (isFirst) section.firstLine = number
    if (end > start) parse(bytes, start, end, section, sections.length, sections.length === counts.length)
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
    const parts = Array.from(words.numbers().subarray(listed * order, (listed + 1) * order), (word) =>
      Buffer.from(vocabulary.wordBytes(word)).toString(),
    )
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
  let bounds = new Uint32Array(2 * 8) // where the line's parts begin and end
  const seenSpecial = new Set<number>()
  const textAt = (bytes: Uint8Array, part: number): string => Buffer.from(bytes.subarray(bounds[2 * part], bounds[2 * part + 1])).toString()
  const numberAt = (bytes: Uint8Array, part: number, what: string): number => {
    const value = parseDecimal(bytes, bounds[2 * part] as number, bounds[2 * part + 1] as number)
    if (!Number.isFinite(Math.fround(value))) throw lineError(`a finite number for ${what}`, quoted(textAt(bytes, part)))
    if (Math.abs(value) > largestLog10) throw lineError(`a log10 from -${largestLog10} to ${largestLog10} for ${what}`, textAt(bytes, part))
    return value
  }
  /** Like KenLM, reads <UNK> as <unk>. */
  const isUnknown = (bytes: Uint8Array, part: number): boolean =>
    (bounds[2 * part + 1] as number) - (bounds[2 * part] as number) === 5 && textAt(bytes, part).toLowerCase() === '<unk>'
  const addWord = (bytes: Uint8Array): number => {
    const before = vocabulary.size()
    const word = isUnknown(bytes, 1) ? unknownWord : vocabulary.add(bytes, bounds[2] as number, bounds[3] as number)
    const isNew = word <= sentenceEnd ? !seenSpecial.has(word) : word === before
    if (!isNew) throw lineError('each n-gram once', `${quoted(textAt(bytes, 1))} a second time`)
    if (word <= sentenceEnd) seenSpecial.add(word)
    return word
  }
  const findWord = (bytes: Uint8Array, part: number): number => {
    const word = vocabulary.find(bytes, bounds[2 * part] as number, bounds[2 * part + 1] as number)
    if (word === unknownWord && !isUnknown(bytes, part)) throw lineError('words that are among the 1-grams', quoted(textAt(bytes, part)))
    return word
  }
  const parse = (bytes: Uint8Array, start: number, end: number, section: Section, order: number, isHighest: boolean): void => {
    const { words, probabilities, backoffs } = section
    if (bounds.length < 2 * (order + 3)) bounds = new Uint32Array(2 * (order + 3))
    const parts = splitParts(bytes, start, end, bounds, order + 3)
    if (parts !== order + 1 && parts !== order + 2)
      throw lineError(
        `a probability, ${order === 1 ? 'a word' : `${order} words`} and at most a back-off weight`,
        parts > order + 2 ? 'more' : `${parts} of them`,
      )
    const probability = numberAt(bytes, 0, 'the probability')
    if (probability > 0) throw lineError('the log10 of a probability, at most 0', textAt(bytes, 0))
    const backoff = parts === order + 2 ? numberAt(bytes, order + 1, 'the back-off weight') : 0
    if (isHighest && backoff !== 0) throw lineError('no back-off weight at the highest order', `${backoff}`)
    if (order === 1) words.push(addWord(bytes))
    else for (let part = 1; part <= order; part++) words.push(findWord(bytes, part))
    probabilities.push(probability)
    if (!isHighest) backoffs.push(backoff)
  }
  return { parse, hasSpecial: (word: number): boolean => seenSpecial.has(word) }
}

// Splits a line of an ARPA file and parses its numbers, without a string for each part.
const [tab, space, carriageReturn] = [0x09, 0x20, 0x0d]
const [minus, plus, point, zero, nine] = [0x2d, 0x2b, 0x2e, 0x30, 0x39]

const isBlank = (byte: number): boolean => byte === space || byte === tab || byte === carriageReturn

/** Writes the start and end of each part of bytes[start..end) to `bounds`, two numbers per part. → the number of parts, at most `most` */
const splitParts = (bytes: Uint8Array, start: number, end: number, bounds: Uint32Array, most: number): number => {
  let parts = 0
  for (let at = start; at < end && parts < most; ) {
    if (isBlank(bytes[at] as number)) {
      at++
      continue
    }
    bounds[2 * parts] = at
    while (at < end && !isBlank(bytes[at] as number)) at++
    bounds[2 * parts + 1] = at
    parts++
  }
  return parts
}

const powers = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent)

/** The decimal number in bytes[start..end), correctly rounded; NaN if it is none. */
export const parseDecimal = (bytes: Uint8Array, start: number, end: number): number => {
  let at = start
  const first = bytes[at]
  if (first === minus || first === plus) at++
  let [digits, behindPoint, pointAt] = [0, 0, -1]
  for (; at < end; at++) {
    const byte = bytes[at] as number
    if (byte >= zero && byte <= nine) {
      digits = 10 * digits + byte - zero
      if (pointAt !== -1) behindPoint++
    } else if (byte === point && pointAt === -1) pointAt = at
    else break
  }
  // exact: an integer below 2⁵³ divided by a power of ten below it
  const isPlain = at === end && digits < 2 ** 53 && behindPoint < powers.length && /[0-9]/.test(String.fromCharCode(bytes[end - 1] ?? 0))
  if (isPlain) return (first === minus ? -digits : digits) / (powers[behindPoint] as number)
  const text = Buffer.from(bytes.subarray(start, end)).toString('latin1')
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : NaN
}
