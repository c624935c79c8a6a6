/** The state of a view: what a page that shows it needs to know. */
import { escapeText } from '../charts/escapeText.js'
import type { ChartRenderer } from './chartCache.js'
import type { BoardState, QueueState, RunView, View } from './events.js'
import { findRunProcess } from './runProcess.js'
import type { Watch } from './watch.js'
import type { WatchedRun } from './watchRun.js'
import { compareView } from './views/compareView.js'
import { runLine } from './views/runLine.js'
import { runView } from './views/runView.js'
import { sweepLine, sweepView } from './views/sweepView.js'

export type StateSources = {
  readonly watch: Watch
  readonly charts: ChartRenderer
  readonly board: { readonly problem: string | null; readonly queue: QueueState | null }
}

/** A view's state, and the version of its figures. */
export type ViewState = { readonly state: BoardState; readonly figuresVersion: string | null }

/** @param knownFigures version of the figures that the page has: the state only contains newer ones */
export const viewState = async (
  { kind, ids }: View,
  { watch, charts, board }: StateSources,
  knownFigures: string | null,
): Promise<ViewState> => {
  if (kind === 'list') return { state: { board, ...listState(watch) }, figuresVersion: knownFigures }
  if (kind === 'sweep') {
    const sweep = watch.sweeps().get(ids[0] ?? '')
    return { state: { board, sweep: sweep === undefined ? null : sweepView(sweep) }, figuresVersion: knownFigures }
  }
  const runs = ids.flatMap((id) => watch.runs().get(id) ?? [])
  const text = kind === 'compare' ? { compare: compareView(runs) } : { run: await runState(runs[0]) }
  const rendered = runs.length === 0 ? null : await charts.render(runs, knownFigures)
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
