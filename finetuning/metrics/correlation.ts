/** Metrics of predicted scores: Pearson's and Spearman's correlation, each in [−1, 1]. */
import { sampleCorrelation, sampleRankCorrelation } from 'simple-statistics'
import { assertSameLength } from './losses.js'

type Numbers = ReadonlyArray<number>

/**
 * Pearson's r = Σ(x − x̄)(y − ȳ) / √(Σ(x − x̄)² Σ(y − ȳ)²), in [−1, 1]. If predictions or labels are all equal, r is
 * undefined (SciPy: NaN); it is 0 here, so that checkpoints can be compared. `constantPrediction` reports the cause.
 */
export const pearson = (predictions: Numbers, labels: Numbers): number => {
  assertSameLength('pearson', predictions, labels)
  return correlation(sampleCorrelation, scaled(predictions), scaled(labels))
}

/** Spearman's ρ: Pearson's r of the ranks, in [−1, 1]; tied values share the mean of their ranks. 0 where `pearson` is. */
export const spearman = (predictions: Numbers, labels: Numbers): number => {
  assertSameLength('spearman', predictions, labels)
  return correlation(sampleRankCorrelation, predictions, labels)
}

const correlation = (of: (x: number[], y: number[]) => number, x: Numbers, y: Numbers): number =>
  // Compares the values themselves: x̄ is rounded, so x − x̄ may differ from 0 even if all x are equal.
  allEqual(x) || allEqual(y) ? 0 : Math.min(1, Math.max(-1, of([...x], [...y])))

/** Scales to at most 1, so that no square overflows or underflows. */
const scaled = (values: Numbers): Numbers => {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return largest === 0 ? values : values.map((value) => value / largest)
}

const allEqual = (values: Numbers): boolean => values.every((value) => value === values[0])
