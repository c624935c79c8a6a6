/** Statistics over runs: mean and spread over seeds, Student's t intervals, and differences whose error is clustered by task. */
import { mean, median, sampleStandardDeviation } from 'simple-statistics'

export type Interval = readonly [low: number, high: number]

export type Summary = {
  readonly count: number
  readonly mean: number
  /** the largest |x − mean|, as in the paper's tables */
  readonly maximumDeviation: number
  readonly median: number
  /** 95 % t interval of the mean; null for a single value */
  readonly interval: Interval | null
}

/** null for no values */
export const summarizeValues = (values: readonly number[]): Summary | null => {
  if (values.length === 0) return null
  const center = mean([...values])
  return {
    count: values.length,
    mean: center,
    maximumDeviation: Math.max(...values.map((value) => Math.abs(value - center))),
    median: median([...values]),
    interval: tInterval(values),
  }
}

/** The standard error of the mean, s / √n; null for fewer than two values. */
export const standardError = (values: readonly number[]): number | null =>
  values.length < 2 ? null : sampleStandardDeviation([...values]) / Math.sqrt(values.length)

/** mean ± t_{n−1} · s / √n, which contains the mean of the population in 95 % of samples; null for fewer than two values. */
export const tInterval = (values: readonly number[]): Interval | null => {
  const error = standardError(values)
  return error === null ? null : around(mean([...values]), tQuantile(0.975, values.length - 1) * error)
}

const around = (center: number, radius: number): Interval => [center - radius, center + radius]

/** A mean difference over several tasks. The pairs of one task are not independent, so a task counts as one observation. */
export type ClusteredDifference = {
  /** the mean difference of each task, in the order given; only tasks with pairs */
  readonly effects: readonly number[]
  readonly pairs: number
  /** the mean of the effects: each task counts the same */
  readonly mean: number
  /** clustered by task: the standard deviation of the effects over the root of their number; null for a single task */
  readonly standardError: number | null
  /** 95 % t interval with (tasks − 1) degrees of freedom; null for a single task */
  readonly interval: Interval | null
}

/** @param byTask differences of pairs, task by task; null if there is no pair */
export const clusteredDifference = (byTask: readonly (readonly number[])[]): ClusteredDifference | null => {
  const tasks = byTask.filter(({ length }) => length > 0)
  if (tasks.length === 0) return null
  const effects = tasks.map((differences) => mean([...differences]))
  return {
    effects,
    pairs: tasks.reduce((sum, { length }) => sum + length, 0),
    mean: mean(effects),
    standardError: standardError(effects),
    interval: tInterval(effects),
  }
}

/**
 * Student's t distribution for a whole number of degrees of freedom, in closed form.
 * P(T ≤ t) of Student's distribution with n degrees of freedom. Abramowitz & Stegun 1964, 26.7.3 (odd n) and 26.7.4 (even n).
 */
export const tCumulative = (t: number, n: number): number => {
  const theta = Math.atan(t / Math.sqrt(n))
  const [sine, squared] = [Math.sin(theta), Math.cos(theta) ** 2]
  const isOdd = n % 2 === 1
  // terms are 1, (1/2)cos²θ, (1·3)/(2·4)cos⁴θ, … (even n) or cosθ, (2/3)cos³θ, … (odd n)
  let term = isOdd ? Math.cos(theta) : 1
  let sum = n === 1 ? 0 : term
  for (let k = isOdd ? 2 : 1; k <= n - 3; k += 2) {
    term *= (k / (k + 1)) * squared
    sum += term
  }
  const central = isOdd ? (2 / Math.PI) * (theta + sine * sum) : sine * sum // P(|T| ≤ t), with t's sign
  return 0.5 + central / 2
}

/** The t with P(T ≤ t) = p, for n = 1, 2, … degrees of freedom: t₂ of 0.975 is 4.303. Bisection, since the distribution is monotone. */
export const tQuantile = (p: number, n: number): number => {
  let [low, high] = [-1, 1]
  while (tCumulative(low, n) > p) low *= 2
  while (tCumulative(high, n) < p) high *= 2
  for (let i = 0; i < 200 && low < high; i++) {
    const middle = (low + high) / 2
    if (middle === low || middle === high) break
    if (tCumulative(middle, n) < p) low = middle
    else high = middle
  }
  return (low + high) / 2
}
