/**
 * Draws a chart as SVG, in Node for files and pages, and in the browser at the width of the page. d3's scales and shapes are functions: they
 * need no DOM, unlike Observable Plot, no canvas, unlike uPlot, and a tenth of Vega.
 */
import { scaleLinear } from 'd3-scale'
import { line } from 'd3-shape'
import { escapeHtml, type Markup } from '../../evaluation/tables/tableText.js'
import { scoreText } from '../text/units.js'
import { accent, type Chart, type HeatMapChart } from './chart.js'
import { lineSvg } from './lineSvg.js'
import { px, svg, text, textWidth } from './svg.js'

type ChartLayout = {
  /** pixels; a chart with many columns may need more */
  readonly width: number
  /** pixels between the axes of a line chart */
  readonly plotHeight: number
  /** weight of the past in the moving average of a noisy line: 0 draws the line as it is */
  readonly smoothing: number
}

/** The layout of files, and of pages without scripts. */
export const fileLayout: ChartLayout = { width: 420, plotHeight: 200, smoothing: 0 }

export const drawChart = (chart: Chart, { width, plotHeight, smoothing }: ChartLayout = fileLayout): string =>
  chart.kind === 'line' ? lineSvg(chart, width, plotHeight, smoothing) : heatMapSvg(chart, width)

/** A step and the score there. */
export type SparkPoint = readonly [step: number, score: number]

const [sparkWidth, sparkHeight, sparkDot] = [88, 20, 2]

/**
 * The scores of a run's evaluations as a curve as large as a word, without axes, and in words; null for fewer than two.
 * @param end of the x axis, which begins at step 0: a curve that is not whole does not look whole
 */
export const drawSparkline = (metric: string, points: readonly SparkPoint[], end: number): Markup | null => {
  const [first, last] = [points[0], points.at(-1)]
  if (first === undefined || last === undefined || first === last) return null
  const inWords = ([step, score]: SparkPoint): string => `${scoreText(metric, score)} at step ${step}`
  const label = `${metric}: ${inWords(first)}, ${inWords(last)}`
  const values = points.map(([, y]) => y)
  const x = scaleLinear([0, end], [sparkDot, sparkWidth - sparkDot])
  const y = scaleLinear([Math.min(...values), Math.max(...values)], [sparkHeight - sparkDot, sparkDot])
  const path = line<SparkPoint>(
    ([at]) => x(at),
    ([, value]) => y(value),
  ).digits(1)(points)
  const marks = `<path d="${path ?? ''}" stroke-width="1.5"/><circle cx="${px(x(last[0]))}" cy="${px(y(last[1]))}" r="${sparkDot}" fill="${accent}"/>`
  const size = `width="${sparkWidth}" height="${sparkHeight}" viewBox="0 0 ${sparkWidth} ${sparkHeight}"`
  return {
    html: `<svg class="sparkline" role="img" aria-label="${escapeHtml(label)}" ${size} fill="none" stroke="${accent}">${marks}</svg>`,
    text: label,
  }
}

const [minCell, maxCell, maxLabel] = [22, 100, 150]
/** Height that the rows share, if they are legible then. */
const mapHeight = 300
/** Opacities of the smallest and the largest value. */
const [palest, strongest] = [0.05, 0.85]

/** The accent color over the background, stronger for larger values, so that the same text is legible on both. */
const heatMapSvg = ({ cells, rows, columns }: HeatMapChart, width: number): string => {
  const rowIndex = new Map(rows.order.map((name, i) => [name, i]))
  const columnIndex = new Map(columns.order.map((name, i) => [name, i]))
  const rowLabels = rows.order.map(shorten)
  const columnLabels = columns.order.map(shorten)
  const left = Math.max(14, textWidth(rows.title), ...rowLabels.map((label) => textWidth(label))) + 8
  const cellWidth = Math.min(maxCell, Math.max(minCell, (width - left - 6) / Math.max(1, columns.order.length)))
  const isTurned = columnLabels.some((label) => textWidth(label) > cellWidth - 4)
  const longest = Math.max(...columnLabels.map((label) => textWidth(label)), 0)
  const top = (columns.title === '' ? 0 : 18) + (isTurned ? Math.min(0.62 * longest, 96) + 14 : 20)
  const cellHeight = Math.max(16, Math.min(40, cellWidth, mapHeight / Math.max(1, rows.order.length)))
  const overhang = isTurned ? 0.77 * longest : 0
  const drawn = Math.max(left + cellWidth * columns.order.length + 6, left + cellWidth * (columns.order.length - 0.5) + overhang)
  const highest = Math.max(Number.MIN_VALUE, ...cells.map(({ value }) => value))
  const cellMarks = cells.map(({ row, column, value }) => {
    const x = left + cellWidth * (columnIndex.get(column) ?? 0)
    const y = top + cellHeight * (rowIndex.get(row) ?? 0)
    const opacity = palest + (strongest - palest) * Math.max(0, value / highest)
    const label = Number.isInteger(value) ? String(value) : value.toFixed(1)
    const isLegible = textWidth(label) < cellWidth - 2
    return (
      `<rect x="${px(x + 1)}" y="${px(y + 1)}" width="${px(cellWidth - 2)}" height="${px(cellHeight - 2)}" rx="3" fill="${accent}" fill-opacity="${opacity.toFixed(2)}"/>` +
      (isLegible
        ? text(x + cellWidth / 2, y + cellHeight / 2 + 4, label, { anchor: 'middle', ...(value === 0 ? { opacity: 0.5 } : {}) })
        : '')
    )
  })
  const rowTexts = rowLabels.map((label, i) => text(left - 7, top + cellHeight * (i + 0.5) + 4, label, { anchor: 'end', opacity: 0.75 }))
  const columnTexts = columnLabels.map((label, i) => {
    const x = left + cellWidth * (i + 0.5)
    return isTurned
      ? text(x - 3, top - 6, label, { opacity: 0.75, turn: -38 })
      : text(x, top - 7, label, { anchor: 'middle', opacity: 0.75 })
  })
  const titles = [
    rows.title === '' ? '' : text(left - 7, top - 7, rows.title, { anchor: 'end', opacity: 0.55 }),
    columns.title === '' ? '' : text(left, 12, columns.title, { opacity: 0.55 }),
  ]
  return svg(
    Math.max(width, drawn),
    top + cellHeight * rows.order.length + 6,
    [...titles, ...columnTexts, ...rowTexts, ...cellMarks].join(''),
  )
}

const shorten = (label: string): string => {
  const letters = Math.floor(maxLabel / textWidth('x'))
  return [...label].length > letters ? `${[...label].slice(0, letters - 1).join('')}…` : label
}
