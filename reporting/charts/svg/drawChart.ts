/**
 * Draws a chart as SVG, in Node for files and pages, and in the browser at the width of the page. It needs no other package and no DOM:
 * Vega took 60 MB for three kinds of charts, and a page could not draw them again.
 */
import type { Chart } from '../chart.js'
import { heatMapSvg } from './heatMapSvg.js'
import { lineSvg } from './lineSvg.js'

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

export const drawChart = (chart: Chart, { width, plotHeight, smoothing }: ChartLayout = fileLayout): string => {
  switch (chart.kind) {
    case 'line':
      return lineSvg(chart, { width, height: plotHeight, smoothing })
    case 'heatMap':
      return heatMapSvg(chart, width)
  }
}
