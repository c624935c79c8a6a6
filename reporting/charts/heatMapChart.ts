/** Heat maps: rows by columns, pale to strong, with the value in each cell. */
import type { HeatMapAxis, HeatMapCell, HeatMapChart } from './chart.js'

export type { HeatMapAxis, HeatMapCell }

export const heatMapChart = (cells: ReadonlyArray<HeatMapCell>, rows: HeatMapAxis, columns: HeatMapAxis): HeatMapChart => ({
  kind: 'heatMap',
  cells,
  rows,
  columns,
})
