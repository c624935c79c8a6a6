/** From counts to BLEU (Papineni et al., 2002): precisions, smoothed (Chen and Cherry, 2014), their geometric mean, the brevity penalty. */
import { type BleuStatistics, maximumOrder } from './statistics.js'

/**
 * What becomes of a precision whose count is 0, which makes the geometric mean 0 with `none`: `floor`, its count is smoothValue; `add-k`,
 * smoothValue is added to count and total of every n above 1; `exp`, its count is 1/2, of the next such n 1/4, and so on (mteval-v13a's).
 */
export const bleuSmoothings = ['none', 'floor', 'add-k', 'exp'] as const
export type BleuSmoothing = (typeof bleuSmoothings)[number]

/** Chen and Cherry's values, for the smoothings that take one. */
export const smoothValues: Readonly<Partial<Record<BleuSmoothing, number>>> = { floor: 0.1, 'add-k': 1 }

export type BleuScoring = {
  readonly smoothing: BleuSmoothing
  /** of floor and add-k, above 0 */
  readonly smoothValue: number
  /** whether the mean is of the n alone for which there are n-grams, which a text of fewer than four words needs to score at all */
  readonly effectiveOrder: boolean
}

export type BleuScore = BleuStatistics & {
  /** 0 to 100 */
  readonly score: number
  /** smoothed, 0 to 100, by n from 1 to 4; all 0 where nothing is shared */
  readonly precisions: ReadonlyArray<number>
  /** 1, or e^(1 − referenceLength / hypothesisLength) where the hypotheses are shorter; 0 where they have no word */
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

/** Precisions of the n for which there are n-grams. */
const smoothed = ({ counts, totals }: BleuStatistics, { smoothing, smoothValue }: BleuScoring): ReadonlyArray<number> => {
  const precisions: number[] = []
  let half = 1
  for (const [n, own] of counts.entries()) {
    const added = smoothing === 'add-k' && n > 0 ? smoothValue : 0
    const [count, total] = [own + added, (totals[n] ?? 0) + added]
    if (total === 0) break
    if (count === 0 && smoothing === 'exp') half /= 2
    const counted = count > 0 ? count : smoothing === 'exp' ? half : smoothing === 'floor' ? smoothValue : 0
    precisions.push((100 * counted) / total)
  }
  return precisions
}
