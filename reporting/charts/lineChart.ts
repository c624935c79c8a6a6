/** Line charts: lines with bands, and horizontal lines for values that do not depend on x. */
import type { Axis, LineChart } from './chart.js'

export type { Axis }

export type Point = {
  readonly series: string
  readonly x: number
  readonly y: number
  /** the band around the line; absent: no band */
  readonly low?: number
  readonly high?: number
}

/** A horizontal line. */
export type Level = Pick<Point, 'series' | 'y'>

export type LineOptions = {
  readonly levels?: ReadonlyArray<Level>
  /** whether a page may smooth the lines */
  readonly isNoisy?: boolean
}

/** Larger numbers have no differences that a number can hold. */
const largest = 1e100

const withinReach = (point: Point): Point => {
  const clip = (value: number): number => Math.min(largest, Math.max(-largest, value))
  const { y, low, high } = point
  return { ...point, y: clip(y), ...(low === undefined || high === undefined ? {} : { low: clip(low), high: clip(high) }) }
}

export const lineChart = (
  points: ReadonlyArray<Point>,
  x: Axis,
  y: Axis,
  { levels = [], isNoisy = false }: LineOptions = {},
): LineChart => {
  const names = [...new Set(points.map(({ series }) => series))]
  const finite = points.filter((point) => Number.isFinite(point.x) && Number.isFinite(point.y)).map(withinReach)
  return {
    kind: 'line',
    x,
    y,
    lines: names.map((name) => ({
      name,
      points: finite
        .filter(({ series }) => series === name)
        .map(({ x: at, y: value, low, high }) =>
          low === undefined || high === undefined || low >= high ? [at, value] : [at, value, low, high],
        ),
    })),
    levels: levels.map(({ series, y: value }) => ({ name: series, y: value })),
    isNoisy,
  }
}
