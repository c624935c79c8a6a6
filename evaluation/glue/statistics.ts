/** Statistics over runs: mean and spread over seeds, Student's t intervals, and differences whose error is clustered by task. */
import { mean, median, sampleStandardDeviation } from 'simple-statistics'
import { tQuantile } from './studentT.js'

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
export const summaryOf = (values: ReadonlyArray<number>): Summary | null => {
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
export const standardError = (values: ReadonlyArray<number>): number | null =>
  values.length < 2 ? null : sampleStandardDeviation([...values]) / Math.sqrt(values.length)

/** mean ± t_{n−1} · s / √n, which contains the mean of the population in 95 % of samples; null for fewer than two values. */
export const tInterval = (values: ReadonlyArray<number>): Interval | null => {
  const error = standardError(values)
  return error === null ? null : around(mean([...values]), tQuantile(0.975, values.length - 1) * error)
}

const around = (center: number, radius: number): Interval => [center - radius, center + radius]

/** A mean difference over several tasks. The pairs of one task are not independent, so a task counts as one observation. */
export type ClusteredDifference = {
  /** the mean difference of each task, in the order given; only tasks with pairs */
  readonly effects: ReadonlyArray<number>
  readonly pairs: number
  /** the mean of the effects: each task counts the same */
  readonly mean: number
  /** clustered by task: the standard deviation of the effects over the root of their number; null for a single task */
  readonly standardError: number | null
  /** 95 % t interval with (tasks − 1) degrees of freedom; null for a single task */
  readonly interval: Interval | null
}

/** @param byTask differences of pairs, task by task; null if there is no pair */
export const clusteredDifference = (byTask: ReadonlyArray<ReadonlyArray<number>>): ClusteredDifference | null => {
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

/** What an interval of a difference shows: 'none' if it includes zero or there is no interval. */
export const directionOf = (interval: Interval | null): 'ahead' | 'behind' | 'none' =>
  interval === null || (interval[0] <= 0 && interval[1] >= 0) ? 'none' : interval[0] > 0 ? 'ahead' : 'behind'
