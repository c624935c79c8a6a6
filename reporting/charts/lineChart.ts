/** Line charts in Vega-Lite: lines with bands, and horizontal lines for values that do not depend on x. */
import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, seriesScales } from './chartStyle.js'

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

export type Axis = {
  readonly title: string
  /** whether a y axis is logarithmic beyond ±1 */
  readonly logarithmic?: boolean
  /** ticks of a base-2 logarithmic x axis; absent: a linear axis */
  readonly values?: ReadonlyArray<number>
}

const size = { width: 270, height: 180 }

/** With at most this many points a series, each point has a mark. */
const markedPoints = 30

export const lineChart = (
  unwrappedPoints: ReadonlyArray<Point>,
  x: Axis,
  y: Axis,
  unwrappedLevels: ReadonlyArray<Level> = [],
): TopLevelSpec => {
  const points = unwrappedPoints.map((point) => ({ ...point, series: wrap(point.series) }))
  const levels = unwrappedLevels.map((level) => ({ ...level, series: wrap(level.series) }))
  const names = [...new Set([...points, ...levels].map(({ series }) => series))]
  const hasMarks = points.length <= markedPoints * names.length
  const { color, strokeDash } = seriesEncoding(names)
  const value = valueEncoding(y, points)
  const position = positionEncoding(x)
  const band = {
    data: { values: [...points] },
    mark: { type: 'area' as const, opacity: 0.2 },
    encoding: { x: position, color, y: { ...value, field: 'low' }, y2: { field: 'high' } },
  }
  const line = {
    data: { values: [...points] },
    mark: { type: 'line' as const, strokeWidth: 1.8, ...(hasMarks ? { point: { size: 28, filled: true } } : {}) },
    encoding: { x: position, color, y: value, strokeDash },
  }
  const level = {
    data: { values: [...levels] },
    mark: { type: 'rule' as const, strokeWidth: 1.8 },
    encoding: { color, strokeDash, y: value },
  }
  const hasBand = points.some(({ low, high }) => low !== undefined && high !== undefined && low < high)
  return {
    ...size,
    config: chartConfig,
    layer: [...(hasBand ? [band] : []), ...(points.length === 0 ? [] : [line]), ...(levels.length === 0 ? [] : [level])],
  }
}

const seriesEncoding = (names: ReadonlyArray<string>) => {
  const scales = seriesScales(names)
  return {
    color: {
      field: 'series',
      type: 'nominal' as const,
      scale: scales.color,
      legend: { title: null, orient: 'bottom' as const, columns: 1, symbolType: 'stroke' as const },
    },
    strokeDash: { field: 'series', type: 'nominal' as const, scale: scales.dash },
  }
}

/** 1000 → 1k, and 0.68 stays. An expression in Vega's language. */
const shortNumber = "format(datum.value, abs(datum.value) >= 1000 ? '~s' : '~g')"

const positionEncoding = ({ title, values }: Axis) => ({
  field: 'x',
  type: 'quantitative' as const,
  title,
  scale: values === undefined ? { zero: false, nice: false } : { type: 'log' as const, base: 2, nice: false },
  axis: values === undefined ? { tickCount: 5, labelExpr: shortNumber } : { values: [...values], labelExpr: shortNumber },
})

const valueEncoding = ({ title, logarithmic = false }: Axis, points: ReadonlyArray<Point>) => ({
  field: 'y',
  type: 'quantitative' as const,
  title,
  scale: { zero: false, ...(logarithmic ? { type: 'symlog' as const, constant: 1 } : {}) },
  axis: { tickCount: 5, labelExpr: shortNumber, ...(logarithmic ? { values: powersOfTen(points) } : {}) },
})

/** 0 and ±1, ±10, … up to the extremes of the points, at most five on each side. */
const powersOfTen = (points: ReadonlyArray<Point>): number[] => {
  const lowest = Math.min(0, ...points.map(({ low, y }) => low ?? y))
  const highest = Math.max(0, ...points.map(({ high, y }) => high ?? y))
  const upTo = (end: number): ReadonlyArray<number> => {
    const powers = Array.from({ length: Math.max(0, Math.floor(Math.log10(Math.max(end, 0.1))) + 1) }, (_, i) => 10 ** i)
    const every = Math.ceil(powers.length / 5)
    return powers.filter((_, i) => i % every === 0)
  }
  return [...upTo(-lowest).map((power) => -power), 0, ...upTo(highest)]
}

/** Characters in one line of a legend. */
const legendWidth = 44

/** Breaks a long series name between its words, so that a legend shows it whole. */
const wrap = (name: string): string =>
  name.split(' ').reduce((lines, word) => {
    const last = lines.slice(lines.lastIndexOf('\n') + 1)
    return lines === '' ? word : `${lines}${last.length + word.length >= legendWidth ? '\n' : ' '}${word}`
  }, '')
