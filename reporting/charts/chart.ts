/** Charts as data: what drawChart.ts turns into SVG, for files in Node and for pages in the browser. Plain JSON, so a page can carry it. */

export type Chart = LineChart | HeatMapChart

export type Axis = {
  readonly title: string
  /** whether a y axis is logarithmic beyond ±1 */
  readonly logarithmic?: boolean
  /** ticks of a base-2 logarithmic x axis; absent: a linear axis */
  readonly values?: ReadonlyArray<number>
}

/** A point of a line, with the band around it if there is one. */
export type LinePoint = readonly [x: number, y: number] | readonly [x: number, y: number, low: number, high: number]

export type Line = { readonly name: string; readonly points: ReadonlyArray<LinePoint> }

export type LineChart = {
  readonly kind: 'line'
  readonly x: Axis
  readonly y: Axis
  readonly lines: ReadonlyArray<Line>
  /** horizontal lines, for values that do not depend on x; they continue the colors of `lines` where names are equal */
  readonly levels: ReadonlyArray<{ readonly name: string; readonly y: number }>
  /** whether the lines are noisy, so that a page may smooth them */
  readonly isNoisy: boolean
}

export type HeatMapCell = { readonly row: string; readonly column: string; readonly value: number }

/** The title and the order of rows or columns; an empty title is not drawn. */
export type HeatMapAxis = { readonly title: string; readonly order: ReadonlyArray<string> }

export type HeatMapChart = {
  readonly kind: 'heatMap'
  readonly cells: ReadonlyArray<HeatMapCell>
  readonly rows: HeatMapAxis
  readonly columns: HeatMapAxis
}
