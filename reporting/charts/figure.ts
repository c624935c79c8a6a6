/** A figure of the report, in types: what each is made of, and what it answers. A new one is a file in figures/ and a line in figures/index.ts. */
import type { TopLevelSpec } from 'vega-lite'
import type { RunCurves } from './runCurves.js'
import type { Series } from './series.js'

export type Cell = string | number | null

export type Table = { readonly columns: ReadonlyArray<string>; readonly rows: ReadonlyArray<ReadonlyArray<Cell>> }

/** A series with the curves of its runs; a run whose metrics.jsonl could not be read has none. */
export type DrawnSeries = Series & {
  readonly curves: ReadonlyArray<RunCurves>
  /** steps in a bucket of them */
  readonly width: number
}

export type Panel = {
  /** of its files: letters, digits and hyphens */
  readonly name: string
  readonly title: string
  /** what is seen, in words */
  readonly alternative: string
  readonly spec: TopLevelSpec
}

export type DrawnFigure = {
  readonly caption: string
  readonly panels: ReadonlyArray<Panel>
  /** the numbers of all panels, and of what did not fit into them */
  readonly table: Table
}

export type Figure = {
  /** of its place in the page and of its files */
  readonly name: string
  readonly title: string
  /** null where these runs have nothing of it */
  readonly draw: (series: ReadonlyArray<DrawnSeries>) => DrawnFigure | null
}
