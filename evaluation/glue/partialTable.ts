/** The table of a plan from the cells that are done so far. */
import type { CellOutcome } from '../cells/executor.js'
import { paperScore } from './paperTables.js'
import type { PlannedCell, SweepPlan } from './storedPlan.js'
import { sweepTable, type SweepTable } from './sweepTable.js'

export const partialTable = (
  { sweep, title, reported, baseline, paper }: Omit<SweepPlan, 'stage' | 'cells'>,
  ended: ReadonlyArray<{ readonly cell: PlannedCell; readonly outcome: CellOutcome }>,
): SweepTable =>
  sweepTable(ended, {
    title,
    reported,
    baseline,
    paper: (row, task) => (paper === null ? null : paperScore(sweep, row, task, paper)),
  })
