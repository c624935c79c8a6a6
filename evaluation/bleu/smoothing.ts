/** From counts to BLEU (Papineni et al., 2002): precisions, smoothed (Chen and Cherry, 2014), their geometric mean, the brevity penalty. */
import { type BleuStatistics, maximumOrder } from './statistics.js'

/**
 * How a precision with a count of 0 is smoothed.
 *
 * - `none`: not at all, so the geometric mean is 0
 * - `floor`: its count becomes smoothValue
 * - `add-k`: smoothValue is added to count and total of every n above 1
 * - `exp`: its count becomes 1/2, that of the next zero 1/4, and so on (mteval-v13a)
 */
export const bleuSmoothings = ['none', 'floor', 'add-k', 'exp'] as const
export type BleuSmoothing = (typeof bleuSmoothings)[number]

/** Chen and Cherry's values, for smoothings with a value. */
export const smoothValues: Readonly<Partial<Record<BleuSmoothing, number>>> = { floor: 0.1, 'add-k': 1 }

export type BleuScoring = {
  readonly smoothing: BleuSmoothing
  /** of floor and add-k, above 0 */
  readonly smoothValue: number
  /** average only orders that have n-grams: a text of fewer than four words has no other score than 0 without it */
  readonly effectiveOrder: boolean
}

export type BleuScore = BleuStatistics & {
  /** 0 to 100 */
  readonly score: number
  /** smoothed, 0 to 100, by n from 1 to 4; all 0 if no word is shared */
  readonly precisions: ReadonlyArray<number>
  /** 1, or e^(1 − referenceLength / hypothesisLength) if the hypotheses are shorter; 0 if they have no word */
  readonly brevityPenalty: number
}

/** BLEU = BP · exp(1/4 Σₙ log pₙ), times 100. */
export const scoreOf = (statistics: BleuStatistics, scoring: BleuScoring): BleuScore => {
  const { counts, hypothesisLength, referenceLength } = statistics
  const brevityPenalty =
    hypothesisLength >= referenceLength ? 1 : hypothesisLength === 0 ? 0 : Math.exp(1 - referenceLength / hypothesisLength)
  const precisions = counts.some((count) => count > 0) ? smoothed(statistics, scoring) : []
  const orders = scoring.effectiveOrder ? precisions.length : maximumOrder
  const logarithms = precisions.reduce((sum, precision) => sum + Math.log(precision), 0)
  const mean = precisions.length < orders || orders === 0 ? 0 : Math.exp(logarithms / orders)
  return {
    score: Math.min(100, brevityPenalty * mean), // e^log(100) is rounded to more than 100
    precisions: counts.map((_, n) => precisions[n] ?? 0),
    brevityPenalty,
    ...statistics,
  }
}

/** Precisions of the orders that have n-grams. */
const smoothed = ({ counts, totals }: BleuStatistics, { smoothing, smoothValue }: BleuScoring): ReadonlyArray<number> => {
  const precisions: number[] = []
  let half = 1
  for (const [n, matched] of counts.entries()) {
    const added = smoothing === 'add-k' && n > 0 ? smoothValue : 0
    const [count, total] = [matched + added, (totals[n] ?? 0) + added]
    if (total === 0) break
    if (count === 0 && smoothing === 'exp') half /= 2
    const counted = count > 0 ? count : smoothing === 'exp' ? half : smoothing === 'floor' ? smoothValue : 0
    precisions.push((100 * counted) / total)
  }
  return precisions
}
