/** Trains an n-gram model as lmplz does: interpolated modified Kneser-Ney, all in memory. */
import { inputError } from '../../accelerated/errors/inputError.js'
import type { BackoffModel } from './backoffModel.js'
import { readCorpus, countNgrams } from './counts.js'
import { computeDiscounts, type DiscountReport, type Discounts, kneserNey } from './kneserNey.js'
import type { TextSource } from './textLines.js'

export const highestTrainedOrder = 6

export type NgramOptions = {
  /** words of the longest n-grams, 1 to 6 */
  readonly order: number
  /** by order from 1, the last one for higher orders: n-grams with this count or less are pruned; empty: none */
  readonly prune?: readonly number[]
  /** discounts of orders whose own cannot be estimated; null: an error */
  readonly discountFallback?: Discounts | null
  /** read <s>, </s> and <unk> in the text as blanks instead of refusing them */
  readonly skipSymbols?: boolean
}

export type NgramPhase = 'sorting' | 'estimating'

export type NgramWatch = {
  readonly signal?: AbortSignal | undefined
  /** `share` of the phase is done, 0 to 1 */
  readonly progress?: (phase: NgramPhase, share: number) => void
}

export type TrainedNgram = {
  readonly model: BackoffModel
  readonly sentences: number
  readonly words: number
  /** n-grams by order: those in the model, and those in the text (with <unk>, <s> and </s>) */
  readonly ngrams: readonly { readonly kept: number; readonly found: number }[]
  readonly discounts: readonly DiscountReport[]
}

/**
 * The model of a text with one sentence a line, words between blanks. Chen & Goodman 1998; Heafield et al. 2013.
 * @throws InputError for options out of range, a text that cannot be read, is empty or too small for discounts; whatever `signal` was aborted with
 */
export const trainNgram = async (
  source: TextSource,
  options: NgramOptions,
  { signal, progress }: NgramWatch = {},
): Promise<TrainedNgram> => {
  const thresholds = checkedThresholds(options)
  const { order, discountFallback = null, skipSymbols = false } = options
  checkFallback(discountFallback)
  const tick =
    (phase: NgramPhase) =>
    async (share: number): Promise<void> => {
      progress?.(phase, share)
      await new Promise(setImmediate) // signals come in between
      signal?.throwIfAborted()
    }
  const corpus = await readCorpus(source, { order, skipSymbols }, signal)
  const counted = await countNgrams(corpus, tick('sorting'))
  const discounts = counted.map((one, i) => computeDiscounts(source.name, i + 1, one, discountFallback))
  const model = await kneserNey(
    corpus,
    counted,
    discounts.map((report) => report.discounts),
    thresholds,
    tick('estimating'),
  )
  const ngrams = counted.map(({ raw }, i) => ({ kept: model.levels[i]?.probabilities.length ?? 0, found: raw.length }))
  return { model, sentences: corpus.sentences, words: corpus.words, ngrams, discounts }
}

/** One threshold an order. @throws InputError */
const checkedThresholds = ({ order, prune = [] }: NgramOptions): readonly number[] => {
  if (!Number.isInteger(order) || order < 1 || order > highestTrainedOrder)
    throw inputError('--order', `a whole number from 1 to ${highestTrainedOrder}`, `${order}`)
  const shown = prune.join(' ')
  if (prune.some((threshold) => !Number.isSafeInteger(threshold) || threshold < 0))
    throw inputError('--prune', 'whole numbers from 0', shown)
  if (prune.length > order) throw inputError('--prune', `at most ${order} thresholds, one an order`, shown)
  // otherwise an n-gram could stay without its last words or its context
  if (prune.some((threshold, i) => threshold < (prune[i - 1] ?? 0))) throw inputError('--prune', 'thresholds that never decrease', shown)
  return Array.from({ length: order }, (_, i) => prune[Math.min(i, prune.length - 1)] ?? 0)
}

const checkFallback = (fallback: Discounts | null): void => {
  if (fallback?.some((discount, i) => !(discount >= 0 && discount <= i + 1)) === true)
    throw inputError('--discount-fallback', 'discounts from 0 to 1, 2 and 3', fallback.join(' '))
}
