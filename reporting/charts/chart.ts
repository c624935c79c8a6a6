/** Charts as data, and their look. drawChart.ts turns them into SVG, in Node and in the browser. Plain JSON, so a page can carry it. */

export type Chart = LineChart | HeatMapChart

export type Axis = {
  readonly title: string
  /** whether a y axis is logarithmic beyond ±1 */
  readonly logarithmic?: boolean
  /** the least value at which an x axis ends, such as the last step of a run that is still training */
  readonly to?: number
  /** whether the values are shares, whose ticks are in percent */
  readonly isShare?: boolean
  /** ticks of a base-2 logarithmic x axis; absent: a linear axis */
  readonly values?: readonly number[]
}

/** A point of a line, with the band around it if there is one. */
export type LinePoint = readonly [x: number, y: number] | readonly [x: number, y: number, low: number, high: number]

export type Line = { readonly name: string; readonly points: readonly LinePoint[] }

export type LineChart = {
  readonly kind: 'line'
  readonly x: Axis
  readonly y: Axis
  readonly lines: readonly Line[]
  /** horizontal lines, for values that do not depend on x; they continue the colors of `lines` where names are equal */
  readonly levels: readonly { readonly name: string; readonly y: number }[]
  /** dashed horizontal lines with their names on them, such as a baseline */
  readonly references?: readonly Reference[]
  /** points that stand out, such as the kept step, in the colors of their lines */
  readonly marks?: readonly Mark[]
  /** whether the lines are noisy, so that a page may smooth them */
  readonly isNoisy: boolean
}

export type Reference = { readonly name: string; readonly y: number }

export type Mark = { readonly line: string; readonly x: number; readonly y: number }

export type HeatMapCell = { readonly row: string; readonly column: string; readonly value: number }

/** The title and the order of rows or columns; an empty title is not drawn. */
export type HeatMapAxis = { readonly title: string; readonly order: readonly string[] }

/** Rows by columns, pale to strong, with the value in each cell. */
export type HeatMapChart = {
  readonly kind: 'heatMap'
  readonly cells: readonly HeatMapCell[]
  readonly rows: HeatMapAxis
  readonly columns: HeatMapAxis
}

export type Point = {
  readonly series: string
  readonly x: number
  readonly y: number
  /** the band around the line; absent: no band */
  readonly low?: number
  readonly high?: number
}

type LineOptions = {
  /** horizontal lines */
  readonly levels?: readonly Pick<Point, 'series' | 'y'>[]
  readonly references?: readonly Reference[]
  readonly marks?: readonly Mark[]
  readonly isNoisy?: boolean
}

/** Axes end where numbers have no differences that a number can hold. */
const [smallest, largest] = [1e-100, 1e100]
const clip = (value: number): number => (Math.abs(value) < smallest ? 0 : Math.min(largest, Math.max(-largest, value)))

/** Lines in the order of their first points. Points that are not finite are left out. */
export const lineChart = (points: readonly Point[], x: Axis, y: Axis, options: LineOptions = {}): LineChart => {
  const { levels = [], references = [], marks = [], isNoisy = false } = options
  const lines = new Map<string, LinePoint[]>(points.map(({ series }) => [series, []]))
  for (const { series, x: at, y: value, low, high } of points) {
    if (!Number.isFinite(at) || !Number.isFinite(value)) continue
    const hasBand = low !== undefined && high !== undefined && low < high
    lines.get(series)?.push(hasBand ? [at, clip(value), clip(low), clip(high)] : [at, clip(value)])
  }
  return {
    ...{ kind: 'line', x, y, isNoisy },
    lines: [...lines].map(([name, ofLine]) => ({ name, points: ofLine })),
    levels: levels.map(({ series, y: value }) => ({ name: series, y: clip(value) })),
    ...(references.length === 0 ? {} : { references }),
    ...(marks.length === 0 ? {} : { marks }),
  }
}

/** The one accent color, of pages and of the first series. The colors have a contrast of at least 3 : 1 on both backgrounds (WCAG 2.2, 1.4.11). */
export const accent = '#3f6fe8'

export const seriesColors = [
  ...[accent, '#d1631a', '#2a9154', '#c2489c', '#a07a10'],
  ...['#8a6fd0', '#18919c', '#d84848', '#7a8088', '#5f8f1f'],
] as const

/** Dash patterns distinguish series for readers who cannot distinguish the colors. */
const dashes = ['', '6 2', '2 2', '8 2 2 2', '4 4'] as const

/** Maximum number of series in one panel: colors repeat beyond it. */
export const seriesLimit = seriesColors.length

export const seriesColor = (i: number): string => seriesColors[i % seriesColors.length] ?? accent
export const seriesDash = (i: number): string => dashes[i % dashes.length] ?? ''
