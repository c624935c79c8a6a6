/** Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1998, section 4; Heafield et al. 2013, section 3): from counts to a back-off model. */
import type { BackoffModel, Level } from './backoffModel.js'
import type { Corpus } from './corpus.js'
import type { Counted } from './counts.js'
import type { Discounts } from './discounts.js'
import { newVocabulary, sentenceEnd, sentenceStart, unknownWord, type Vocabulary } from './vocabulary.js'

/** A model's numbers have seven decimals, as in its ARPA file. */
const decimals = 1e7
/** Replaces the logarithm of 0, as in other tools' ARPA files. */
const logarithmOfZero = -99
const logarithm = (value: number): number => {
  const log10 = Math.max(logarithmOfZero, Math.min(0, Math.log10(value)))
  return Math.round(log10 * decimals) / decimals + 0 // no −0
}

/** Probabilities of one order, no logarithms yet; and γ(c), what each context c, an n-gram of the order below, leaves to shorter ones. */
type Estimate = { readonly probabilities: Float64Array; readonly gammas: Float64Array }

/** The n-grams that are not pruned, ascending, and the index of each among them. */
type Kept = { readonly grams: Uint32Array; readonly placeOf: Uint32Array; readonly isKept: Uint8Array }

/**
 * @param discounts by order, from 1 @param thresholds by order: n-grams with this count or less are pruned, special words never
 * @param tick receives the finished share, and may throw
 */
export const kneserNey = async (
  { vocabulary, tokens }: Corpus,
  counted: ReadonlyArray<Counted>,
  discounts: ReadonlyArray<Discounts>,
  thresholds: ReadonlyArray<number>,
  tick: (share: number) => Promise<void>,
): Promise<BackoffModel> => {
  const kept = counted.map((order, i) => keptOf(order, i + 1, thresholds[i] as number))
  const estimates: Estimate[] = []
  for (const [i, order] of counted.entries()) {
    await tick(i / counted.length)
    const [below, lower] = [counted[i - 1], estimates[i - 1]]
    estimates.push(
      below === undefined || lower === undefined
        ? estimateWords(order, discounts[0] as Discounts, kept[0] as Kept)
        : estimateOrder(order, below, lower, discounts[i] as Discounts, kept[i] as Kept),
    )
  }
  const { grams: words, placeOf: numberOf } = kept[0] as Kept // pruned words have no number any more
  const levels = counted.map((order, i): Level => {
    const keptGrams = kept[i] as Kept
    const [above, aboveKept, gammas] = [counted[i + 1], kept[i + 1], estimates[i + 1]?.gammas]
    const logarithms = (values: Float64Array): Float32Array =>
      Float32Array.from(keptGrams.grams, (gram) => logarithm(values[gram] as number))
    return {
      words:
        i === 0
          ? new Uint32Array(0)
          : Uint32Array.from(keptGrams.grams, (gram) => numberOf[tokens[(order.places[gram] as number) - i] as number] as number),
      probabilities: logarithms((estimates[i] as Estimate).probabilities),
      backoffs: gammas === undefined ? new Float32Array(0) : logarithms(gammas),
      children:
        above === undefined || aboveKept === undefined ? new Uint32Array(0) : childrenOf(keptGrams, order.endingAt, above, aboveKept),
    }
  })
  return { vocabulary: words.length === vocabulary.size() ? vocabulary : vocabularyOf(vocabulary, words), levels }
}

const vocabularyOf = (vocabulary: Vocabulary, words: Uint32Array): Vocabulary => {
  const fewer = newVocabulary()
  for (const word of words) {
    const bytes = vocabulary.bytesOf(word)
    fewer.add(bytes, 0, bytes.length)
  }
  return fewer
}

const keptOf = ({ raw }: Counted, order: number, threshold: number): Kept => {
  const isKept = new Uint8Array(raw.length)
  const placeOf = new Uint32Array(raw.length)
  let count = 0
  for (let gram = 0; gram < raw.length; gram++) {
    const isSpecial = order === 1 && gram <= sentenceEnd
    if (!isSpecial && (raw[gram] as number) <= threshold) continue
    isKept[gram] = 1
    placeOf[gram] = count++
  }
  const grams = new Uint32Array(count)
  for (let gram = 0; gram < raw.length; gram++) if (isKept[gram] === 1) grams[placeOf[gram] as number] = gram
  return { grams, placeOf, isKept }
}

const discountOf = (discounts: Discounts, count: number): number => discounts[count < 3 ? count - 1 : 2] as number

/** What an n-gram adds to γ of its context: its discount, or its whole count if it is pruned. So the probabilities still sum to 1. */
const leftBy = (discounts: Discounts, count: number, isKept: number | undefined): number =>
  isKept === 1 ? discountOf(discounts, count) : count

/**
 * Chen & Goodman 1998, equation 25 with the uniform distribution below the unigrams: p(w) = (a(w) − D(a(w))) / Σ a + γ / |V|.
 * |V| counts `<unk>` but not `<s>`. `<unk>` has a count of 0. `<s>` is never predicted and gets 1.
 */
const estimateWords = ({ adjusted }: Counted, discounts: Discounts, { isKept, grams }: Kept): Estimate => {
  let [total, gamma] = [0, 0]
  for (let word = 0; word < adjusted.length; word++) {
    const count = adjusted[word] as number
    if (count === 0) continue
    total += count
    gamma += leftBy(discounts, count, isKept[word])
  }
  const share = gamma / total / (grams.length - 1)
  const probabilities = Float64Array.from(adjusted, (count) => (count === 0 ? 0 : (count - discountOf(discounts, count)) / total) + share)
  probabilities[unknownWord] = share
  probabilities[sentenceStart] = 1
  return { probabilities, gammas: Float64Array.of(gamma / total) }
}

/** p(w | c) = (a(c w) − D(a(c w))) / Σᵥ a(c v) + γ(c) p(w | c without its first word). Chen & Goodman 1998, equation 25. */
const estimateOrder = (
  { adjusted, places }: Counted,
  below: Counted,
  lower: Estimate,
  discounts: Discounts,
  { isKept }: Kept,
): Estimate => {
  const contexts = below.raw.length
  const [totals, gammas] = [new Float64Array(contexts), new Float64Array(contexts)]
  const contextOf = (gram: number): number => below.endingAt[(places[gram] as number) - 1] as number
  for (let gram = 0; gram < adjusted.length; gram++) {
    const [context, count] = [contextOf(gram), adjusted[gram] as number]
    totals[context] = (totals[context] as number) + count
    gammas[context] = (gammas[context] as number) + leftBy(discounts, count, isKept[gram])
  }
  for (let context = 0; context < contexts; context++) {
    const total = totals[context] as number
    gammas[context] = total === 0 ? 1 : (gammas[context] as number) / total // of no context: a weight of 1
  }
  const probabilities = new Float64Array(adjusted.length)
  for (let gram = 0; gram < adjusted.length; gram++) {
    const [context, count] = [contextOf(gram), adjusted[gram] as number]
    const discounted = (count - discountOf(discounts, count)) / (totals[context] as number)
    const shorter = lower.probabilities[below.endingAt[places[gram] as number] as number] as number
    probabilities[gram] = discounted + (gammas[context] as number) * shorter
  }
  return { probabilities, gammas }
}

/** Where the kept n-grams of the order above begin that end in each one of this order: both are in suffix order. */
const childrenOf = ({ grams, placeOf }: Kept, endingAt: Uint32Array, above: Counted, aboveKept: Kept): Uint32Array => {
  const children = new Uint32Array(grams.length + 1)
  for (const gram of aboveKept.grams) {
    // what an n-gram that stays ends in occurs as often, and its threshold is no higher: it stays too
    const parent = placeOf[endingAt[above.places[gram] as number] as number] as number
    children[parent + 1] = (children[parent + 1] as number) + 1
  }
  for (let i = 1; i < children.length; i++) children[i] = (children[i] as number) + (children[i - 1] as number)
  return children
}
