/** Interval charts in Vega-Lite: one line per row with a point and its interval, and a vertical line to compare with. */
import type { TopLevelSpec } from 'vega-lite'
import { chartConfig, seriesScales } from './chartStyle.js'

export type IntervalPoint = {
  readonly row: string
  /** several series of a row are drawn below each other, in different colors */
  readonly series?: string
  readonly value: number
  /** both absent: a point without an interval */
  readonly low?: number
  readonly high?: number
}

const [width, rowHeight] = [380, 26]

/** @param reference where the vertical line is: 0 for differences, 1 for ratios */
export const intervalChart = (points: ReadonlyArray<IntervalPoint>, title: string, reference: number): TopLevelSpec => {
  const rows = [...new Set(points.map(({ row }) => row))]
  const names = [...new Set(points.map(({ series = '' }) => series))]
  const isSingle = names.length === 1
  const data = { values: points.map((point) => ({ series: '', ...point })) }
  const y = {
    field: 'row',
    type: 'nominal' as const,
    title: null,
    sort: rows,
    axis: { labelLimit: 320 },
  }
  const yOffset = isSingle ? {} : { yOffset: { field: 'series', type: 'nominal' as const, sort: names } }
  const color = {
    field: 'series',
    type: 'nominal' as const,
    scale: seriesScales(names).color,
    legend: isSingle ? null : { title: null, orient: 'bottom' as const, columns: 1 },
  }
  const x = { type: 'quantitative' as const, title, scale: { zero: false }, axis: { tickCount: 6 } }
  return {
    width,
    height: rowHeight * rows.length * (isSingle ? 1 : 0.7 * names.length),
    config: chartConfig,
    layer: [
      {
        data: { values: [{ value: reference }] },
        mark: { type: 'rule' as const, opacity: 0.6, strokeDash: [4, 3] },
        encoding: { x: { ...x, field: 'value' } },
      },
      {
        data: { values: data.values.filter(({ low }) => low !== undefined) },
        mark: { type: 'rule' as const, strokeWidth: 2 },
        encoding: { y, ...yOffset, color, x: { ...x, field: 'low' }, x2: { field: 'high' } },
      },
      {
        data,
        mark: { type: 'point' as const, filled: true, size: 60, opacity: 1 },
        encoding: { y, ...yOffset, color, x: { ...x, field: 'value' } },
      },
    ],
  }
}
