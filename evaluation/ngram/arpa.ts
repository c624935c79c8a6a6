/** Reads an ARPA file, plain or gzip, line by line into a back-off model, and refuses one that contradicts itself. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { isBlank } from './arpaLine.js'
import { arpaSections, type LineError, type Section } from './arpaSections.js'
import type { BackoffModel } from './backoffModel.js'
import { modelOfNgrams, type Complain } from './modelOfNgrams.js'
import { eachTextLine, type TextSource } from './textLines.js'
import { newVocabulary, sentenceEnd, sentenceStart, specialWords, type Vocabulary } from './vocabulary.js'

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
  const counts: number[] = []
  let state: 'start' | 'counts' | 'n-grams' | 'end' = 'start'
  let current = 0 // the number of the current line
  const lineError: LineError = (expected, got, line = current) => inputError(`${name}, line ${line}`, expected, got)
  const sections = arpaSections(vocabulary, counts, lineError)

  const takeText = (line: string, first: number | undefined): void => {
    if (state === 'start') {
      if (line === '\\data\\') state = 'counts'
      else if (first !== hash) throw lineError('an ARPA file, which begins with \\data\\', quoted(line))
    } else if (state === 'end') throw lineError('nothing after \\end\\', quoted(line))
    else if (state === 'counts' && (first !== backslash || counts.length === 0)) counts.push(parseCount(line, counts.length + 1, lineError))
    else state = sections.takeHeader(line) ? 'n-grams' : 'end'
  }
  const takeLine = (bytes: Uint8Array, start: number, lineEnd: number, number: number): void => {
    current = number
    let end = lineEnd
    while (end > start && isBlank(bytes[end - 1] as number)) end--
    if (end === start) sections.takeEmptyLine()
    else if (state === 'n-grams' && bytes[start] !== backslash) sections.takeNgram(bytes, start, end, number)
    else takeText(Buffer.from(bytes.subarray(start, Math.min(end, start + quotedLength))).toString(), bytes[start])
  }
  await eachTextLine(source, takeLine, signal)
  if ((state as string) === 'start') throw inputError(name, 'an ARPA file, which begins with \\data\\', 'an empty file')
  if ((state as string) !== 'end') throw lineError(sections.nextHeader(), 'the end of the file')
  for (const special of [sentenceStart, sentenceEnd])
    if (!sections.hasSpecial(special)) throw inputError(name, `${specialWords[special]} among the 1-grams`, 'none')
  return modelOfNgrams(vocabulary, sections.finished().map(numbersOf), complainer(sections.finished(), vocabulary, lineError))
}

/** `ngram 2=123` → 123 */
const parseCount = (line: string, expectedOrder: number, lineError: LineError): number => {
  const [, order, count] = /^ngram\s+(\d+)\s*=\s*(\d{1,10})$/.exec(line) ?? []
  if (Number(order) !== expectedOrder) throw lineError(`"ngram ${expectedOrder}=" and a number`, quoted(line))
  if (expectedOrder > highestOrder) throw lineError(`orders up to ${highestOrder}`, quoted(line))
  return Number(count)
}

const numbersOf = ({ words, probabilities, backoffs }: Section) => ({
  words: words.numbers(),
  probabilities: probabilities.numbers(),
  backoffs: backoffs.numbers(),
})

/** Errors of the tree, with the line of the n-gram. */
const complainer =
  (sections: ReadonlyArray<Section>, vocabulary: Vocabulary, lineError: LineError): Complain =>
  (order, listed, problem) => {
    const { firstLine, words } = sections[order - 1] as Section
    const parts = Array.from(words.numbers().subarray(listed * order, (listed + 1) * order), (word) =>
      Buffer.from(vocabulary.bytesOf(word)).toString(),
    )
    return problem === 'twice'
      ? lineError('each n-gram once', `${quoted(parts.join(' '))} a second time`, firstLine + listed)
      : lineError(`the context ${quoted(parts.slice(0, -1).join(' '))} among the ${order - 1}-grams`, 'none', firstLine + listed)
  }
