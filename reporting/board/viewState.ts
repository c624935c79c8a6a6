/** The state of a view: what a page that shows it needs to know, of all runs, of one, of several, or of a sweep. */
import { join } from 'node:path'
import { partialTable, type SweepTable } from '../../evaluation/glue/sweepTable.js'
import type { SweepPlan } from '../../evaluation/glue/storedPlan.js'
import { sweepTables } from '../report/tables.js'
import { escapeText } from '../text/html.js'
import type { ContentSource } from './content.js'
import {
  runStatuses,
  type BoardState,
  type QueueState,
  type RunStatus,
  type RunView,
  type SweepLine,
  type SweepView,
  type View,
} from './events.js'
import { findRunProcess } from './runProcess.js'
import { compareView, runLine, runView } from './runViews.js'
import type { Watch, WatchedSweep } from './watch.js'
import type { WatchedRun } from './watchRun.js'

export type StateSources = {
  readonly watch: Watch
  readonly content: ContentSource
  readonly board: { readonly problem: string | null; readonly queue: QueueState | null }
}

/** A view's state, and the version of its figures. */
export type ViewState = { readonly state: BoardState; readonly figuresVersion: string | null }

/** @param knownFigures version of the figures that the page has: the state only contains newer ones */
export const viewState = async (
  { kind, ids }: View,
  { watch, content, board }: StateSources,
  knownFigures: string | null,
): Promise<ViewState> => {
  if (kind === 'list') return { state: { board, ...listState(watch) }, figuresVersion: knownFigures }
  if (kind === 'sweep') {
    const sweep = watch.sweeps().get(ids[0] ?? '')
    return { state: { board, sweep: sweep === undefined ? null : sweepView(sweep) }, figuresVersion: knownFigures }
  }
  const runs = ids.flatMap((id) => watch.runs().get(id) ?? [])
  const text = kind === 'compare' ? { compare: compareView(runs) } : { run: await runState(runs[0]) }
  const rendered = runs.length === 0 ? null : await content.read(runs, knownFigures)
  if (rendered === null) return { state: { board, ...text }, figuresVersion: knownFigures }
  const figures = { names: rendered.figures.map(({ name }) => name), problems: rendered.problems.map(escapeText) }
  const byName = Object.fromEntries(rendered.figures.map((figure) => [`figure ${figure.name}`, figure]))
  return { state: { board, ...text, figures, tables: rendered.tables, ...byName }, figuresVersion: rendered.version }
}

const listState = (watch: Watch): BoardState => {
  const lines = [...watch.runs().values()].map(runLine)
  return {
    sweeps: [...watch.sweeps().values()].map(sweepLine),
    order: lines.map(({ id }) => id),
    ...Object.fromEntries(lines.map((line) => [`run ${line.id}`, line])),
  }
}

const runState = async (run: WatchedRun | undefined): Promise<RunView | null> => {
  if (run === undefined) return null
  return runView(run, run.status === 'running' ? await findRunProcess(run.folder) : null)
}

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
