/** Interpolated modified Kneser-Ney smoothing (Chen & Goodman 1998, section 4; Heafield et al. 2013, section 3): from counts to a back-off model. */
import type { BackoffModel, Level } from './backoffModel.js'
import type { Corpus, Counted } from './counts.js'
import { newVocabulary, sentenceEnd, sentenceStart, unknownWord, type Vocabulary } from './vocabulary.js'
import { inputError } from '../../accelerated/errors/inputError.js'

/** A model's numbers have seven decimals, as in its ARPA file. */
const decimals = 1e7
/** Replaces the logarithm of 0, as in other tools' ARPA files. */
const logZero = -99
const logarithm = (value: number): number => {
  const log10 = Math.max(logZero, Math.min(0, Math.log10(value)))
  return Math.round(log10 * decimals) / decimals + 0 // no −0
}

/** Probabilities of one order, no logarithms yet; and γ(c), what each context c, an n-gram of the order below, leaves to shorter ones. */
type Estimate = { readonly probabilities: Float64Array; readonly gammas: Float64Array }

/** The n-grams that are not pruned, ascending, and the index of each among them. */
type Kept = { readonly grams: Uint32Array; readonly placeNumbers: Uint32Array; readonly isKept: Uint8Array }

/**
 * @param discounts by order, from 1 @param thresholds by order: n-grams with this count or less are pruned, special words never
 * @param tick receives the finished share, and may throw
 */
export const kneserNey = async (
  { vocabulary, tokens }: Corpus,
  counted: readonly Counted[],
  discounts: readonly Discounts[],
  thresholds: readonly number[],
  tick: (share: number) => Promise<void>,
): Promise<BackoffModel> => {
  const kept = counted.map((order, i) => pruneGrams(order, i + 1, thresholds[i] as number))
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
  const { grams: words, placeNumbers: wordNumbers } = kept[0] as Kept // pruned words have no number any more
  const levels = counted.map(({ places }, i): Level => {
    const { grams } = kept[i] as Kept
    const logarithms = (values: Float64Array | undefined): Float32Array =>
      Float32Array.from(values === undefined ? [] : grams, (gram) => logarithm(values?.[gram] as number))
    return {
      words:
        i === 0
          ? Uint32Array.from(grams, (gram) => wordNumbers[gram] as number)
          : spokenWords(tokens, places, kept[i] as Kept, i + 1, wordNumbers),
      probabilities: logarithms((estimates[i] as Estimate).probabilities),
      backoffs: logarithms(estimates[i + 1]?.gammas),
    }
  })
  return { vocabulary: words.length === vocabulary.size() ? vocabulary : selectVocabulary(vocabulary, words), levels, tables: null }
}

/** The words of kept n-grams of this order, by their numbers in the model. */
const spokenWords = (tokens: Uint32Array, places: Uint32Array, { grams }: Kept, order: number, wordNumbers: Uint32Array): Uint32Array => {
  const words = new Uint32Array(order * grams.length)
  let at = 0
  for (const gram of grams) {
    const last = places[gram] as number
    for (let place = last - order + 1; place <= last; place++) words[at++] = wordNumbers[tokens[place] as number] as number
  }
  return words
}

const selectVocabulary = (vocabulary: Vocabulary, words: Uint32Array): Vocabulary => {
  const fewer = newVocabulary()
  for (const word of words) {
    const bytes = vocabulary.wordBytes(word)
    fewer.add(bytes, 0, bytes.length)
  }
  return fewer
}

const pruneGrams = ({ raw }: Counted, order: number, threshold: number): Kept => {
  const isKept = new Uint8Array(raw.length)
  const placeNumbers = new Uint32Array(raw.length)
  let count = 0
  for (let gram = 0; gram < raw.length; gram++) {
    const isSpecial = order === 1 && gram <= sentenceEnd
    if (!isSpecial && (raw[gram] as number) <= threshold) continue
    isKept[gram] = 1
    placeNumbers[gram] = count++
  }
  const grams = new Uint32Array(count)
  for (let gram = 0; gram < raw.length; gram++) if (isKept[gram] === 1) grams[placeNumbers[gram] as number] = gram
  return { grams, placeNumbers, isKept }
}

const findDiscount = (discounts: Discounts, count: number): number => discounts[count < 3 ? count - 1 : 2] as number

/** What an n-gram adds to γ of its context: its discount, or its whole count if it is pruned. So the probabilities still sum to 1. */
const leftBy = (discounts: Discounts, count: number, isKept: number | undefined): number =>
  isKept === 1 ? findDiscount(discounts, count) : count

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
  const probabilities = Float64Array.from(adjusted, (count) => (count === 0 ? 0 : (count - findDiscount(discounts, count)) / total) + share)
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
  const findContext = (gram: number): number => below.endingAt[(places[gram] as number) - 1] as number
  for (let gram = 0; gram < adjusted.length; gram++) {
    const [context, count] = [findContext(gram), adjusted[gram] as number]
    totals[context] = (totals[context] as number) + count
    gammas[context] = (gammas[context] as number) + leftBy(discounts, count, isKept[gram])
  }
  for (let context = 0; context < contexts; context++) {
    const total = totals[context] as number
    gammas[context] = total === 0 ? 1 : (gammas[context] as number) / total // of no context: a weight of 1
  }
  const probabilities = new Float64Array(adjusted.length)
  for (let gram = 0; gram < adjusted.length; gram++) {
    const [context, count] = [findContext(gram), adjusted[gram] as number]
    const discounted = (count - findDiscount(discounts, count)) / (totals[context] as number)
    const shorter = lower.probabilities[below.endingAt[places[gram] as number] as number] as number
    probabilities[gram] = discounted + (gammas[context] as number) * shorter
  }
  return { probabilities, gammas }
}

// Discounts of modified Kneser-Ney smoothing from counts of counts (Chen & Goodman 1998, equation 26), and their fallback.
/** The discounts of adjusted counts 1, 2, and 3 or more. */
export type Discounts = readonly [number, number, number]

export type DiscountReport = {
  readonly order: number
  readonly discounts: Discounts
  /** why the fallback replaced the estimate; null if it did not */
  readonly replaced: string | null
}

/** lmplz's, for `--discount-fallback` without values. */
export const defaultFallback: Discounts = [0.5, 1, 1.5]

/** n₁ … n₄: how many n-grams have an adjusted count of 1, 2, 3 and 4. */
type CountsOfCounts = readonly [number, number, number, number]

/**
 * As in lmplz. <unk> and <s> have a count of 0, and pruned n-grams count. At the end of its sorted corpus, lmplz still holds one n-gram of each order
 * below the highest. That n-gram counts by its raw count.
 */
export const countsOfCounts = ({ adjusted, raw, last }: Counted): CountsOfCounts => {
  const totals: [number, number, number, number, number] = [0, 0, 0, 0, 0]
  const add = (count: number, by: number): void => {
    if (count < 5) totals[count as 0] += by
  }
  for (const count of adjusted) add(count, 1)
  if (last !== null && last !== unknownWord) {
    add(adjusted[last] as number, -1)
    add(raw[last] as number, 1)
  }
  return [totals[1], totals[2], totals[3], totals[4]]
}

/** In float32 as lmplz: a discount that is 0 there may be negative in float64. */
const float32 = Math.fround

/** D₁, D₂, D₃₊: Dⱼ = j − (j + 1) Y nⱼ₊₁ / nⱼ with Y = n₁ / (n₁ + 2 n₂); or in words why there are none. Equation 26 of Chen & Goodman 1998. */
export const estimatedDiscounts = (n: CountsOfCounts): Discounts | string => {
  const absent = n.slice(0, 3).indexOf(0)
  if (absent !== -1) return `none with an adjusted count of ${absent + 1}`
  const y = float32(n[0] / float32(n[0] + 2 * n[1]))
  const discount = (j: 1 | 2 | 3): number => float32(j - float32(float32(float32((j + 1) * y) * n[j]) / (n[j - 1] as number)))
  const discounts: Discounts = [discount(1), discount(2), discount(3)]
  const wrong = discounts.findIndex((amount, i) => amount < 0 || amount > i + 1)
  return wrong === -1 ? discounts : `a discount of ${discounts[wrong]?.toFixed(3)} for an adjusted count of ${wrong + 1}`
}

/**
 * The discounts of one order. @throws InputError if they cannot be estimated and there is no fallback
 * @param name of the text, for the message
 */
export const computeDiscounts = (name: string, order: number, counted: Counted, fallback: Discounts | null): DiscountReport => {
  const estimated = estimatedDiscounts(countsOfCounts(counted))
  if (typeof estimated !== 'string') return { order, discounts: estimated, replaced: null }
  if (fallback !== null) return { order, discounts: fallback, replaced: estimated }
  throw inputError(
    name,
    `enough text for the discounts of ${order}-grams (--discount-fallback replaces them; is the text small, or artificial?)`,
    estimated,
  )
}
