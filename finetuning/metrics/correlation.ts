/** Metrics of predicted scores: Pearson's and Spearman's correlation, each in [−1, 1]. */
import { sampleCorrelation, sampleRankCorrelation } from 'simple-statistics'
import { assertSameLength } from './losses.js'

type Numbers = readonly number[]

/**
 * Pearson's r = Σ(x − x̄)(y − ȳ) / √(Σ(x − x̄)² Σ(y − ȳ)²), in [−1, 1]. If predictions or labels are all equal, r is
 * undefined (SciPy: NaN); it is 0 here, so that checkpoints can be compared. `constantPrediction` reports the cause.
 */
export const pearson = (predictions: Numbers, labels: Numbers): number => {
  assertSameLength('pearson', predictions, labels)
  return correlation(sampleCorrelation, predictions, labels, scaled)
}

/** Spearman's ρ: Pearson's r of the ranks, in [−1, 1]; tied values share the mean of their ranks. 0 where `pearson` is. */
export const spearman = (predictions: Numbers, labels: Numbers): number => {
  assertSameLength('spearman', predictions, labels)
  return correlation(sampleRankCorrelation, predictions, labels, (values) => values)
}

const correlation = (of: (x: number[], y: number[]) => number, x: Numbers, y: Numbers, prepare: (values: Numbers) => Numbers): number =>
  // Compares the values themselves: x̄ is rounded, so x − x̄ may differ from 0 even if all x are equal.
  allEqual(x) || allEqual(y) ? 0 : Math.min(1, Math.max(-1, of([...prepare(x)], [...prepare(y)])))

/**
 * Scales to below 2, so that no square overflows or underflows, by a power of two, which rounds no digit. The mean is taken off, since a second mean
 * is then exact to the digits of the deviations.
 */
const scaled = (values: Numbers): Numbers => {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  if (largest === 0) return values
  const small = values.map((value) => value / 2 ** Math.floor(Math.log2(largest)))
  const mean = small.reduce((sum, value) => sum + value, 0) / small.length
  return small.map((value) => value - mean)
}

const allEqual = (values: Numbers): boolean => values.every((value) => value === values[0])
