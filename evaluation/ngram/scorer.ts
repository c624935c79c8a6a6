/** log10 p of words one after another under a back-off model, as KenLM's `query` gives it. */
import { blank, extendedHash, ngramTables, nobody, placeIn, startHash, type BackoffModel, type NgramTable } from './backoffModel.js'
import { sentenceStart, sentenceEnd, unknownWord } from './vocabulary.js'
import { eachTextLine, type TextSource } from './textLines.js'

type Scorer = {
  /** resets the context: to <s>, the start of a sentence, or to an empty context */
  readonly begin: (context?: 'sentence' | 'nothing') => void
  /** log10 p(word | context); the word becomes part of the context */
  readonly next: (word: number) => number
  /** how long the n-gram is that was found last: as KenLM counts, also one that is only the end of longer ones */
  readonly matched: () => number
}

/**
 * p(w | h) = p(longest n-gram in the model that h w ends in) × the back-off weights of all longer contexts (Katz 1987). The weights were read when the
 * context's last word was scored, so no context is looked up. The tables are built first.
 */
const openScorer = (model: BackoffModel): Scorer => {
  const order = model.levels.length
  const tables =
    model.tables ??
    ngramTables(model.levels, (...wrong) => new Error(`ngramScorer: expected a consistent model, got n-gram ${wrong.join(' ')}`))
  const { values: ofWords } = tables[0] as NgramTable
  const history = new Uint32Array(order + 1) // history[0]: the word before
  const contexts = new Float64Array(order) // contexts[k]: log10 of the weight of the context of k + 1 words
  const met = new Float64Array(order) // the weights of the n-grams that end in the current word
  let length = 0 // of the longest context
  let matched = 0
  const begin = (context: 'sentence' | 'nothing' = 'sentence'): void => {
    length = context === 'sentence' && order > 1 ? 1 : 0
    history[0] = sentenceStart
    contexts[0] = ofWords[4 * sentenceStart + 3] as number
  }
  const next = (word: number): number => {
    let log10 = ofWords[4 * word + 2] as number
    let place = word
    let hash = startHash(word)
    let scoredLength = 1 // the length of the n-gram whose probability it is
    matched = 1
    met[0] = ofWords[4 * word + 3] as number
    while (matched <= length) {
      const table = tables[matched] as NgramTable
      const before = history[matched - 1] as number
      hash = extendedHash(hash, before)
      place = placeIn(table, hash, place, before)
      if (table.numbers[4 * place] === nobody) break
      const probability = table.values[4 * place + 2] as number
      met[matched] = table.values[4 * place + 3] as number
      matched++
      if (probability === blank) continue
      log10 = probability
      scoredLength = matched
    }
    for (let k = scoredLength - 1; k < length; k++) log10 += contexts[k] as number
    length = matched < order ? matched : order - 1
    for (let k = length - 1; k > 0; k--) history[k] = history[k - 1] as number
    for (let k = 0; k < length; k++) contexts[k] = met[k] as number
    history[0] = word
    return log10
  }
  begin()
  return { begin, next, matched: () => matched }
}

export type SentenceScore = {
  /** log10 p of the words and of the end of the sentence */
  readonly log10: number
  /** without <s> and </s> */
  readonly words: number
  /** words that the model does not know */
  readonly unknown: number
  /** the part of `log10` that is theirs */
  readonly unknownLog10: number
}

export type TextScore = {
  readonly sentences: number
  readonly words: number
  readonly unknown: number
  readonly log10: number
  /** 10^(−Σ log10 p / words): the ends of sentences are in the sum, and not counted. Null without words */
  readonly perplexity: number | null
  /** the same without the unknown words, in sum and count */
  readonly perplexityWithoutUnknown: number | null
  /** KenLM's, "including OOVs": each end of a sentence is counted as a word */
  readonly kenlmPerplexity: number | null
  /** KenLM's, "excluding OOVs" */
  readonly kenlmPerplexityWithoutUnknown: number | null
}

export type WordScore = {
  readonly log10: number
  /** how long the n-gram is that was found, as KenLM counts */
  readonly matched: number
  readonly isKnown: boolean
}

export type NgramScorer = {
  /** a sentence whose words have blanks between them, from <s> to </s>, as KenLM's `score` */
  readonly sentence: (text: string) => SentenceScore
  /** words one after another, as KenLM's `full_scores`, after <s> or after nothing; </s> is a word like others */
  readonly words: (words: readonly string[], after?: 'sentence' | 'nothing') => readonly WordScore[]
  /** each line of a text, as a sentence; `take` receives each score. Rejects with InputError for a line that is not UTF-8 or too long */
  readonly lines: (source: TextSource, take: (score: SentenceScore) => void, signal?: AbortSignal) => Promise<void>
}

/** The separators of words: the white space of C, as in KenLM's `query`. */
const isBlank = (byte: number): boolean => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)

/** Makes tables of the model's n-grams, of about 30 bytes each, and scores by them. */
export const ngramScorer = (model: BackoffModel): NgramScorer => {
  const { begin, next, matched } = openScorer(model)
  const { find } = model.vocabulary
  const scoreBytes = (bytes: Uint8Array, start: number, end: number): SentenceScore => {
    let [log10, words, unknown, unknownLog10] = [0, 0, 0, 0]
    begin()
    for (let at = start; at < end; ) {
      if (isBlank(bytes[at] as number)) {
        at++
        continue
      }
      const from = at
      do at++
      while (at < end && !isBlank(bytes[at] as number))
      const word = find(bytes, from, at)
      const logProbability = next(word)
      log10 += logProbability
      words++
      if (word !== unknownWord) continue
      unknown++
      unknownLog10 += logProbability
    }
    return { log10: log10 + next(sentenceEnd), words, unknown, unknownLog10 }
  }
  return {
    sentence: (text) => {
      const bytes = Buffer.from(text)
      return scoreBytes(bytes, 0, bytes.length)
    },
    words: (words, after = 'sentence') => {
      begin(after)
      return words.map((text) => {
        const bytes = Buffer.from(text)
        const word = find(bytes, 0, bytes.length)
        return { log10: next(word), matched: matched(), isKnown: word !== unknownWord }
      })
    },
    lines: (source, take, signal) => eachTextLine(source, (bytes, start, end) => take(scoreBytes(bytes, start, end)), signal),
  }
}

/** Perplexities of a text from the scores of its sentences. */
export const textScore = (scores: Iterable<SentenceScore>): TextScore => {
  let [sentences, words, unknown, log10, unknownLog10] = [0, 0, 0, 0, 0]
  for (const score of scores) {
    sentences++
    words += score.words
    unknown += score.unknown
    log10 += score.log10
    unknownLog10 += score.unknownLog10
  }
  return {
    sentences,
    words,
    unknown,
    log10,
    perplexity: perplexity(log10, words),
    perplexityWithoutUnknown: perplexity(log10 - unknownLog10, words - unknown),
    kenlmPerplexity: perplexity(log10, words + sentences),
    kenlmPerplexityWithoutUnknown: perplexity(log10 - unknownLog10, words + sentences - unknown),
  }
}

const perplexity = (log10: number, count: number): number | null => (count === 0 ? null : 10 ** (-log10 / count))
