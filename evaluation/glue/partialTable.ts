/** The table of a plan, of as many cells as are done. */
import { paperScore } from './paperTables.js'
import type { PlannedCell, SweepPlan } from './storedPlan.js'
import { sweepTable, type SweepTable } from './sweepTable.js'
import type { CellOutcome } from './executor.js'

export const partialTable = (
  { sweep, title, reported, baseline, paper }: Omit<SweepPlan, 'stage' | 'cells'>,
  worked: ReadonlyArray<{ readonly cell: PlannedCell; readonly outcome: CellOutcome }>,
): SweepTable =>
  sweepTable(worked, {
    title,
    reported,
    baseline,
    paper: (row, task) => (paper === null ? null : paperScore(sweep, row, task, paper)),
  })
