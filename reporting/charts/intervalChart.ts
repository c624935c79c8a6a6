/** Interval charts: one line per row with a point and its interval, and a vertical line to compare with. */
import type { IntervalChart, IntervalPoint } from './chart.js'

export type { IntervalPoint }

/** @param reference where the vertical line is: 0 for differences, 1 for ratios */
export const intervalChart = (points: ReadonlyArray<IntervalPoint>, title: string, reference: number): IntervalChart => ({
  kind: 'interval',
  points,
  title,
  reference,
})
