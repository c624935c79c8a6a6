/** The tables of a report, in the order of the page. Each file holds one kind of table. */
import type { EvaluatedRun } from '../../charts/confusion.js'
import type { Series } from '../../charts/series.js'
import type { Collected } from '../../discovery/collectRuns.js'
import { evaluationTables } from './evaluation.js'
import type { ReportTable } from './reportTable.js'
import { runsTable, seriesTable } from './runs.js'
import { samplesTables, type SampledRun } from './samples.js'
import { sweepTables } from './sweeps.js'
import { transferTables } from './transfers.js'

export type ReportTables = {
  /** above the figures: what compares */
  readonly comparisons: ReadonlyArray<ReportTable>
  /** below the figures */
  readonly details: ReadonlyArray<ReportTable>
}

/** The table of a single series repeats the first screen, so it is below the figures. */
export const tablesOf = (
  collected: Collected,
  series: ReadonlyArray<Series>,
  evaluated: ReadonlyArray<EvaluatedRun>,
  sampled: ReadonlyArray<SampledRun>,
): ReportTables => {
  const scores = series.length === 0 ? [] : [seriesTable(series)]
  const isComparison = series.length > 1
  return {
    comparisons: [...sweepTables(collected.sweeps), ...transferTables(collected.transfers), ...(isComparison ? scores : [])],
    details: [
      ...samplesTables(sampled),
      ...evaluationTables(evaluated),
      ...(isComparison ? [] : scores),
      ...(series.length === 0 ? [] : [runsTable(series)]),
    ],
  }
}
