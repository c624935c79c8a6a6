/**
 * The types of figures. A new figure is a file in figures/ and a line in figures/index.ts.
 *
 * This folder turns finished runs and metrics.jsonl into curves, figures and charts; svg/ draws them. Pages belong in report/ and board/.
 */
import type { Chart } from './chart.js'
import type { RunCurves } from './runCurves.js'
import type { Series } from './series.js'
import type { Table } from './table.js'

/** A series with the curves of its runs. A run without a readable metrics.jsonl has no curves. */
export type PlottedSeries = Series & {
  readonly curves: ReadonlyArray<RunCurves>
  /** steps in one bucket of the curves */
  readonly width: number
}

export type Panel = {
  /** base name of the panel's files: letters, digits and hyphens */
  readonly name: string
  readonly title: string
  /** alternative text: what a reader sees in the chart */
  readonly alternative: string
  readonly chart: Chart
}

export type FigureContent = {
  readonly caption: string
  readonly panels: ReadonlyArray<Panel>
  /** the numbers of all panels, and those beyond the limits */
  readonly table: Table
}

export type Figure = {
  /** id of the figure in the page */
  readonly name: string
  readonly title: string
  /** @returns null if these runs have nothing to show */
  readonly plot: (series: ReadonlyArray<PlottedSeries>) => FigureContent | null
}
