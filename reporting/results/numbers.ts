/** Numbers in the tables of results. Differences have a sign; a minus is a minus sign and not a hyphen. */
import { mean } from 'simple-statistics'
import { directionOf, type ClusteredDifference, type Interval } from '../../evaluation/glue/statistics.js'

/** +1.9, −0.5, and 0.0 without a sign. */
export const signed = (value: number, digits = 1): string => {
  const text = Math.abs(value).toFixed(digits)
  return Number(text) === 0 ? text : `${value > 0 ? '+' : '−'}${text}`
}

/** Mean ± largest deviation from it. */
export const spread = (values: ReadonlyArray<number>, digits = 1): string => {
  const center = mean([...values])
  return `${center.toFixed(digits)} ± ${Math.max(...values.map((value) => Math.abs(value - center))).toFixed(digits)}`
}

/** `−2.2 … +6.0`, which no line of a narrow table breaks. */
export const intervalText = (interval: Interval | null, digits = 1): string =>
  interval === null ? 'no interval' : `${signed(interval[0], digits)}\u00a0…\u00a0${signed(interval[1], digits)}`

/** `+1.9 ± 1.3 (−2.2 … +6.0)`: the mean over tasks, its standard error clustered by task, and its t interval. */
export const differenceText = (
  { mean: center, standardError, interval }: Omit<ClusteredDifference, 'effects' | 'pairs'>,
  digits = 1,
): string =>
  `${signed(center, digits)}${standardError === null ? '' : ` ± ${standardError.toFixed(digits)} (${intervalText(interval, digits)})`}`

/** What the interval shows, in words. */
export const verdict = (interval: Interval | null): string =>
  ({ ahead: 'ahead', behind: 'behind', none: 'no difference shown' })[directionOf(interval)]

/** For alternative texts: how many of the intervals include zero. */
export const includingZero = (points: ReadonlyArray<{ readonly low?: number; readonly high?: number }>): string => {
  const count = points.filter(({ low = 0, high = 0 }) => low <= 0 && high >= 0).length
  return count === points.length ? 'Every interval includes zero.' : `${count} of ${points.length} intervals include zero.`
}

export const gigabytes = (bytes: number, digits = 2): string => `${(bytes / 1e9).toFixed(digits)} GB`

export const thousands = (count: number): string => Math.round(count).toLocaleString('en')
