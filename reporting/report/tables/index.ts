/** The tables of a report, in the order of the page. */
import type { Collected } from '../collectRuns.js'
import type { Table } from '../../charts/figure.js'
import type { Series } from '../../charts/series.js'
import { runsTable, seriesTable } from './runs.js'
import { sweepTables } from './sweeps.js'
import { transferTables } from './transfers.js'

export type ReportTable = {
  /** of its place in the page */
  readonly name: string
  readonly title: string
  readonly caption: string
  readonly table: Table
  /** where its text is another than that of the cells; else they are it */
  readonly csv?: string
  /** many lines: shown when it is asked for */
  readonly folded?: boolean
}

export const tablesOf = (collected: Collected, series: ReadonlyArray<Series>): ReadonlyArray<ReportTable> => [
  ...sweepTables(collected.sweeps),
  ...transferTables(collected.transfers),
  ...(series.length === 0 ? [] : [seriesTable(series), runsTable(series)]),
]
