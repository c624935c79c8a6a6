/** What is told of several runs: mean and maximum deviation as in the paper's tables, median, and intervals by resampling. */
import { mean, median, quantile } from 'simple-statistics'
import { uniforms } from '../../accelerated/parameters/random.js'

export type Summary = {
  readonly count: number
  readonly mean: number
  /** the largest |x − mean| */
  readonly maximumDeviation: number
  readonly median: number
  /** of the mean: 95 % of resampled means lie in it; both ends the mean where there is one value */
  readonly interval: readonly [number, number]
}

const draws = 10_000

/** The middle 95 % of the means of samples drawn with replacement (Efron's percentile bootstrap), the same each time. */
export const bootstrapInterval = (values: ReadonlyArray<number>): readonly [number, number] => {
  const n = values.length
  const u = uniforms(0, 'order', 0, draws * n)
  const means = Array.from({ length: draws }, (_, i) => {
    let sum = 0
    for (let j = 0; j < n; j++) sum += values[Math.floor((u[i * n + j] ?? 0) * n)] ?? NaN
    return sum / n
  })
  return [quantile(means, 0.025), quantile(means, 0.975)]
}

/** null for no values */
export const summaryOf = (values: ReadonlyArray<number>): Summary | null => {
  if (values.length === 0) return null
  const center = mean([...values])
  return {
    count: values.length,
    mean: center,
    maximumDeviation: Math.max(...values.map((value) => Math.abs(value - center))),
    median: median([...values]),
    interval: bootstrapInterval(values),
  }
}
