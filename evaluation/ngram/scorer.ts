/** log10 p of words one after another under a back-off model, as KenLM's `query` gives it. */
import { blank, type BackoffModel } from './backoffModel.js'
import { extendedHash, firstPlace, ngramTables, nobody, startHash, type NgramTable } from './ngramTable.js'
import { sentenceStart } from './vocabulary.js'

export type Scorer = {
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
export const openScorer = ({ levels }: BackoffModel): Scorer => {
  const order = levels.length
  const tables = ngramTables(levels)
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
      const { numbers, values, mask } = tables[matched] as NgramTable
      const before = history[matched - 1] as number
      hash = extendedHash(hash, before)
      let slot = firstPlace(hash, mask)
      let ends = numbers[4 * slot] as number
      while (ends !== nobody && (ends !== place || numbers[4 * slot + 1] !== before)) {
        slot = (slot + 1) & mask
        ends = numbers[4 * slot] as number
      }
      if (ends === nobody) break
      place = slot
      const probability = values[4 * slot + 2] as number
      met[matched] = values[4 * slot + 3] as number
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
