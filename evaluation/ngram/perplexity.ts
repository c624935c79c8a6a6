/** Scores of sentences under a model, and the perplexity of a text. */
import type { BackoffModel } from './backoffModel.js'
import { openScorer } from './scorer.js'
import { eachTextLine, type TextSource } from './textLines.js'
import { sentenceEnd, unknownWord } from './vocabulary.js'

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
  readonly words: (words: ReadonlyArray<string>, after?: 'sentence' | 'nothing') => ReadonlyArray<WordScore>
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
