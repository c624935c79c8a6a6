/** A sweep on the board: its line in the list, and its view with every cell and the table so far. */
import { join } from 'node:path'
import type { SweepPlan } from '../../evaluation/glue/storedPlan.js'
import { partialTable, type SweepTable } from '../../evaluation/glue/sweepTable.js'
import { sweepTables } from '../report/tables.js'
import { escapeText } from '../text/html.js'
import { runStatuses, type RunStatus, type SweepLine, type SweepView } from './events.js'
import { runLine } from './runViews.js'
import type { WatchedSweep } from './watch.js'
import type { WatchedRun } from './watchRun.js'

export const sweepView = (sweep: WatchedSweep): SweepView => ({
  line: sweepLine(sweep),
  cells: cellsOf(sweep).map(({ id, run, status, reason }) =>
    run === null
      ? { id: null, name: escapeText(id), status, reason: reason === null ? null : escapeText(reason) }
      : { ...runLine(run), name: escapeText(id) },
  ),
  table: tableOf(sweep),
})

export const sweepLine = (sweep: WatchedSweep): SweepLine => {
  const cells = cellsOf(sweep)
  const counts = countsOf(cells)
  const progress = sum(cells.map(progressOf)) / Math.max(1, cells.length)
  return {
    id: sweep.id,
    name: escapeText(sweep.name),
    sweep: escapeText(sweep.plan?.sweep ?? sweep.stored?.sweep ?? 'sweep'),
    problem: sweep.problem === null ? null : escapeText(sweep.problem),
    isRunning: sweep.isRunning,
    counts,
    cells: cells.length,
    progress,
    secondsLeft: secondsLeft(cells, progress, counts.running),
    stage: sweep.plan?.stage ?? null,
  }
}

type SweepCell = { readonly id: string; readonly run: WatchedRun | null; readonly status: RunStatus; readonly reason: string | null }

/** The cells of the plan in its order; without a plan, those that have a folder. */
const cellsOf = ({ folder, plan, runs, failures }: WatchedSweep): ReadonlyArray<SweepCell> => {
  const byFolder = new Map(runs.map((run) => [run.folder, run]))
  const ids = plan?.cells.map(({ id }) => id) ?? runs.map((run) => run.folder.slice(join(folder, 'cells').length + 1))
  return ids.map((id) => {
    const run = byFolder.get(join(folder, 'cells', id)) ?? null
    const failure = failures.get(id)
    const status = run?.status ?? (failure === undefined ? 'waiting' : 'failed')
    return { id, run, status, reason: run?.reason ?? failure?.message ?? null }
  })
}

const sum = (values: ReadonlyArray<number>): number => values.reduce((a, b) => a + b, 0)

const countsOf = (cells: ReadonlyArray<SweepCell>): SweepLine['counts'] =>
  Object.fromEntries(runStatuses.map((status) => [status, cells.filter((cell) => cell.status === status).length])) as SweepLine['counts']

const progressOf = ({ status, run }: SweepCell): number => {
  if (status === 'finished') return 1
  return run === null || run.steps === null || run.steps === 0 ? 0 : Math.min(1, run.metrics.step / run.steps)
}

const secondsLeft = (cells: ReadonlyArray<SweepCell>, progress: number, running: number): number | null => {
  const finished = cells.flatMap(({ status, run }) => (status === 'finished' && run?.result != null ? [run.result.seconds] : []))
  if (finished.length === 0 || running === 0) return null
  const secondsPerCell = sum(finished) / finished.length
  return (secondsPerCell * cells.length * (1 - progress)) / running
}

const tableOf = (sweep: WatchedSweep): SweepView['table'] => {
  const { plan, stored, name } = sweep
  const table = plan?.stage === 'table' ? tableSoFar(sweep, plan) : stored?.table
  if (table === undefined || table.rows.length === 0) return null
  const [shown] = sweepTables([{ sweep: plan?.sweep ?? stored?.sweep ?? '', name, table }])
  return shown === undefined ? null : { ...shown.table, caption: shown.caption }
}

const tableSoFar = (sweep: WatchedSweep, plan: SweepPlan): SweepTable => {
  const byId = new Map(cellsOf(sweep).map((cell) => [cell.id, cell]))
  const outcomes = plan.cells.map((cell) => {
    const { status, run, reason } = byId.get(cell.id) ?? { status: 'waiting', run: null, reason: null }
    if (status === 'finished' && run?.result != null) return { cell, outcome: { kind: 'done', result: run.result, reused: true } as const }
    if (status === 'failed') return { cell, outcome: { kind: 'failed', message: reason ?? '', attempts: 1 } as const }
    return { cell, outcome: { kind: 'stopped' } as const }
  })
  return partialTable(plan, outcomes)
}
