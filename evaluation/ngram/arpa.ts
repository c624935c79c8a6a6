/** Reads an ARPA file, plain or gzip, line by line into a back-off model, and refuses one that contradicts itself. */
import { inputError, quoted, type InputError } from '../../accelerated/errors/inputError.js'
import { decimalAt, isBlank, partsOf } from './arpaLine.js'
import type { BackoffModel } from './backoffModel.js'
import { modelOfNgrams } from './modelOfNgrams.js'
import { float32List, uint32List } from './numberList.js'
import { eachTextLine, type TextSource } from './textLines.js'
import { newVocabulary, sentenceEnd, sentenceStart, specialWords, unknownWord } from './vocabulary.js'

/** Orders that are read: twice what is trained. */
const highestOrder = 12

const [backslash, hash] = [0x5c, 0x23]

/** The n-grams of one order as they come. */
const newSection = (order: number) => ({
  order,
  firstLine: 0,
  words: uint32List(),
  probabilities: float32List(),
  backoffs: float32List(),
  /** an empty line came behind them */
  isOver: false,
})

/**
 * The model in an ARPA file. Of n-grams whose last words are not in the file by themselves it makes what KenLM makes of them; without <unk>, an
 * unknown word has a log10 of −100.
 * @throws Mistake with file and line: no `\data\`, a section that is missing or not as long as `\data\` says, a probability above 0, an n-gram
 * given twice, one whose context or one of whose words is missing, a line that is not UTF-8, a file that is cut short
 */
export const readArpa = async (source: TextSource, signal?: AbortSignal): Promise<BackoffModel> => {
  const { name } = source
  const vocabulary = newVocabulary()
  const counts: number[] = []
  const sections: ReturnType<typeof newSection>[] = []
  let section = newSection(0)
  let state: 'start' | 'counts' | 'n-grams' | 'end' = 'start'
  let at = 0
  const wrong = (expected: string, found: string, line = at): InputError => inputError(`${name}, line ${line}`, expected, found)

  const headerExpected = (): string => (section.order === counts.length ? '\\end\\' : `\\${section.order + 1}-grams:`)
  const takeHeader = (line: string): void => {
    if (line !== headerExpected()) throw wrong(headerExpected(), quoted(line))
    if (section.order > 0) {
      const [declared, found] = [counts[section.order - 1], section.probabilities.length()]
      if (found !== declared) throw wrong(`${declared} ${section.order}-grams, as \\data\\ says`, `${found}`)
      sections.push(section)
    }
    if (section.order === counts.length) state = 'end'
    else section = newSection(section.order + 1)
  }
  const takeCount = (line: string): void => {
    const [, order, count] = /^ngram\s+(\d+)\s*=\s*(\d{1,10})$/.exec(line) ?? []
    if (Number(order) !== counts.length + 1) throw wrong(`"ngram ${counts.length + 1}=" and a number`, quoted(line))
    if (counts.length === highestOrder) throw wrong(`orders up to ${highestOrder}`, quoted(line))
    counts.push(Number(count))
  }

  const bounds = new Uint32Array(2 * (highestOrder + 3)) // where the line's parts begin and end
  const textAt = (bytes: Uint8Array, part: number): string => Buffer.from(bytes.subarray(bounds[2 * part], bounds[2 * part + 1])).toString()
  const numberAt = (bytes: Uint8Array, part: number, what: string): number => {
    const value = decimalAt(bytes, bounds[2 * part] as number, bounds[2 * part + 1] as number)
    if (!Number.isFinite(Math.fround(value))) throw wrong(`a finite number for ${what}`, quoted(textAt(bytes, part)))
    return value
  }
  /** KenLM too takes <UNK> for <unk>. */
  const isUnknown = (bytes: Uint8Array, part: number): boolean =>
    (bounds[2 * part + 1] as number) - (bounds[2 * part] as number) === 5 && textAt(bytes, part).toLowerCase() === '<unk>'
  const seenSpecial = new Set<number>()
  const newWord = (bytes: Uint8Array): number => {
    const before = vocabulary.size()
    const word = isUnknown(bytes, 1) ? unknownWord : vocabulary.add(bytes, bounds[2] as number, bounds[3] as number)
    const isNew = word <= sentenceEnd ? !seenSpecial.has(word) : word === before
    if (!isNew) throw wrong('each n-gram once', `${quoted(textAt(bytes, 1))} a second time`)
    if (word <= sentenceEnd) seenSpecial.add(word)
    return word
  }
  const knownWord = (bytes: Uint8Array, part: number): number => {
    const word = vocabulary.find(bytes, bounds[2 * part] as number, bounds[2 * part + 1] as number)
    if (word === unknownWord && !isUnknown(bytes, part)) throw wrong('words that are among the 1-grams', quoted(textAt(bytes, part)))
    return word
  }
  const takeNgram = (bytes: Uint8Array, start: number, end: number): void => {
    const { order, words, probabilities, backoffs, isOver } = section
    const parts = partsOf(bytes, start, end, bounds, order + 3)
    if (isOver) throw wrong(headerExpected(), quoted(Buffer.from(bytes.subarray(start, end)).toString()))
    if (parts !== order + 1 && parts !== order + 2)
      throw wrong(
        `a probability, ${order === 1 ? 'a word' : `${order} words`} and at most a back-off weight`,
        parts > order + 2 ? 'more' : `${parts} of them`,
      )
    const probability = numberAt(bytes, 0, 'the probability')
    if (probability > 0) throw wrong('the log10 of a probability, at most 0', textAt(bytes, 0))
    const backoff = parts === order + 2 ? numberAt(bytes, order + 1, 'the back-off weight') : 0
    if (order === counts.length && backoff !== 0) throw wrong('no back-off weight where nothing is longer', `${backoff}`)
    if (probabilities.length() === 0) section.firstLine = at
    if (order === 1) words.push(newWord(bytes))
    else for (let part = 1; part <= order; part++) words.push(knownWord(bytes, part))
    probabilities.push(probability)
    backoffs.push(backoff)
  }

  const takeLine = (bytes: Uint8Array, start: number, lineEnd: number, number: number): void => {
    at = number
    let end = lineEnd
    while (end > start && isBlank(bytes[end - 1] as number)) end--
    if (end === start) {
      if (section.probabilities.length() > 0) section.isOver = true
      return
    }
    if (state === 'n-grams' && bytes[start] !== backslash) {
      takeNgram(bytes, start, end)
      return
    }
    const line = Buffer.from(bytes.subarray(start, Math.min(end, start + 400))).toString()
    if (state === 'start') {
      if (line === '\\data\\') state = 'counts'
      else if (bytes[start] !== hash) throw wrong('an ARPA file, which begins with \\data\\', quoted(line))
    } else if (state === 'end') throw wrong('nothing after \\end\\', quoted(line))
    else if (state === 'counts' && (bytes[start] !== backslash || counts.length === 0)) takeCount(line)
    else {
      state = 'n-grams'
      takeHeader(line)
    }
  }
  await eachTextLine(source, takeLine, signal)
  if ((state as string) === 'start') throw inputError(name, 'an ARPA file, which begins with \\data\\', 'an empty one')
  if ((state as string) !== 'end') throw wrong(headerExpected(), 'the end of the file')
  for (const special of [sentenceStart, sentenceEnd])
    if (!seenSpecial.has(special)) throw inputError(name, `${specialWords[special]} among the 1-grams`, 'none')
  return modelOfNgrams(
    vocabulary,
    sections.map(({ words, probabilities, backoffs }) => ({
      words: words.numbers(),
      probabilities: probabilities.numbers(),
      backoffs: backoffs.numbers(),
    })),
    (order, listed, problem) => {
      const { firstLine, words } = sections[order - 1] as (typeof sections)[number]
      const parts = Array.from(words.numbers().subarray(listed * order, (listed + 1) * order), (word) =>
        Buffer.from(vocabulary.bytesOf(word)).toString(),
      )
      return problem === 'twice'
        ? wrong('each n-gram once', `${quoted(parts.join(' '))} a second time`, firstLine + listed)
        : wrong(`the context ${quoted(parts.slice(0, -1).join(' '))} among the ${order - 1}-grams`, 'none', firstLine + listed)
    },
  )
}
