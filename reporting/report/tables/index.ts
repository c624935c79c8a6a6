/** The tables of a report, in the order of the page. Each file holds one kind of table. */
import type { Series } from '../../charts/series.js'
import type { Collected } from '../../discovery/collectRuns.js'
import type { ReportTable } from './reportTable.js'
import { runsTable, seriesTable } from './runs.js'
import { sweepTables } from './sweeps.js'
import { transferTables } from './transfers.js'

export const tablesOf = (collected: Collected, series: ReadonlyArray<Series>): ReadonlyArray<ReportTable> => [
  ...sweepTables(collected.sweeps),
  ...transferTables(collected.transfers),
  ...(series.length === 0 ? [] : [seriesTable(series), runsTable(series)]),
]
