/** Metrics of predicted scores: Pearson's and Spearman's correlation, each in [−1, 1]. */
import { assertAligned } from './aligned.js'

type Scores = ReadonlyArray<number>

/**
 * Pearson's r = Σ(x − x̄)(y − ȳ) / √(Σ(x − x̄)² Σ(y − ȳ)²), in [−1, 1]. Where predictions or labels are all equal r is
 * undefined (SciPy: NaN); it is 0 here, so that checkpoints can be compared, and `constantPrediction` tells the cause.
 */
export const pearson = (predictions: Scores, labels: Scores): number => {
  assertAligned('pearson', predictions, labels)
  // Equality is asked of the values: x̄ is rounded, so x − x̄ need not vanish where all x are equal.
  if (allEqual(predictions) || allEqual(labels)) return 0
  const x = unitDeviations(predictions)
  const y = unitDeviations(labels)
  return Math.min(1, Math.max(-1, dot(x, y)))
}

/** Spearman's ρ: Pearson's r of the ranks, in [−1, 1]; tied values share the mean of their ranks. 0 as `pearson` is. */
export const spearman = (predictions: Scores, labels: Scores): number => {
  assertAligned('spearman', predictions, labels)
  return pearson(averageRanks(predictions), averageRanks(labels))
}

/** Ranks from 1; values that are equal get the mean of the ranks they take up. */
export const averageRanks = (values: Scores): ReadonlyArray<number> => {
  const sorted = Float64Array.from(values).sort()
  const firsts = new Map<number, number>()
  const counts = new Map<number, number>()
  sorted.forEach((value, index) => {
    if (!firsts.has(value)) firsts.set(value, index + 1)
    counts.set(value, (counts.get(value) ?? 0) + 1)
  })
  return values.map((value) => (firsts.get(value) ?? 0) + ((counts.get(value) ?? 1) - 1) / 2)
}

/** (x − x̄) / ‖x − x̄‖, of x scaled to at most 1, so that no square overflows or vanishes. */
const unitDeviations = (values: Scores): Scores => {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const scaled = values.map((value) => value / largest)
  const mean = scaled.reduce((sum, value) => sum + value, 0) / scaled.length
  const deviations = scaled.map((value) => value - mean)
  const norm = Math.sqrt(dot(deviations, deviations))
  return deviations.map((deviation) => deviation / norm)
}

const allEqual = (values: Scores): boolean => values.every((value) => value === values[0])

const dot = (a: Scores, b: Scores): number => a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0)
