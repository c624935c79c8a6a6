/** Heat maps in Vega-Lite: rows by columns, dark to bright, with the value in each cell. */
import type { TopLevelSpec } from 'vega-lite'
import { chartConfig } from './chartStyle.js'

export type HeatMapCell = { readonly row: string; readonly column: string; readonly value: number }

/** The title and the order of rows or columns; an empty title is not drawn. */
export type HeatMapAxis = { readonly title: string; readonly order: ReadonlyArray<string> }

const [columnWidth, minWidth, maxWidth] = [44, 120, 270]
const [rowHeight, maxHeight] = [18, 600]

/** Integers are written whole, other values with one decimal. */
export const heatMapChart = (cells: ReadonlyArray<HeatMapCell>, rows: HeatMapAxis, columns: HeatMapAxis): TopLevelSpec => {
  const highest = Math.max(1, ...cells.map(({ value }) => value))
  const position = {
    x: {
      field: 'column',
      type: 'nominal' as const,
      title: columns.title === '' ? null : columns.title,
      sort: [...columns.order],
      axis: { labelAngle: -40, orient: 'top' as const },
    },
    y: { field: 'row', type: 'nominal' as const, title: rows.title, sort: [...rows.order] },
  }
  const color = { field: 'value', type: 'quantitative' as const, scale: { scheme: 'viridis' as const, domain: [0, highest] }, legend: null }
  const textColor = { field: 'isBright', type: 'nominal' as const, scale: { domain: [true, false], range: ['#111', '#fff'] }, legend: null }
  const values = cells.map((cell) => ({
    ...cell,
    text: Number.isInteger(cell.value) ? String(cell.value) : cell.value.toFixed(1),
    isBright: cell.value > 0.6 * highest,
  }))
  return {
    width: Math.max(minWidth, Math.min(maxWidth, columnWidth * columns.order.length)),
    height: Math.min(maxHeight, rowHeight * rows.order.length),
    config: chartConfig,
    data: { values },
    layer: [
      { mark: { type: 'rect' as const }, encoding: { ...position, color } },
      {
        mark: { type: 'text' as const, fontSize: 10 },
        encoding: { ...position, text: { field: 'text', type: 'nominal' as const }, color: textColor },
      },
    ],
    resolve: { scale: { color: 'independent' as const } },
  }
}
