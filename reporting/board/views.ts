/** What the page is told, as JSON: lines of the list, a run, runs side by side, a sweep. Names are made harmless here; numbers are the files'. */
import { join } from 'node:path'
import { resumeCommand } from '../../finetuning/commandLine/shell.js'
import { sweepTables } from '../report/tables/sweeps.js'
import { scoreNameOf, taskOf } from '../charts/series.js'
import { escapeText } from '../charts/escapeText.js'
import type { RunConfig } from '../../finetuning/runs/run.js'
import type { SweepTable } from '../../evaluation/glue/sweepTable.js'
import { partialTable } from '../../evaluation/glue/partialTable.js'
import type { Holder } from './runProcess.js'
import { runStates, type RunState } from './runStatus.js'
import type { WatchedRun, WatchedSweep } from './watch.js'

export type RunLine = {
  readonly id: string
  readonly name: string
  readonly task: string | null
  readonly method: string | null
  readonly sweep: string | null
  readonly state: RunState
  readonly why: string | null
  readonly step: number
  readonly steps: number | null
  /** seconds */
  readonly left: number | null
  /** the task's, of the last step */
  readonly loss: number | null
  readonly score: { readonly name: string; readonly value: number; readonly which: 'best' | 'last' } | null
  readonly tokensPerSecond: number | null
  readonly updated: number | null
}

export const runLine = (run: WatchedRun): RunLine => {
  const { config, result, digest } = run
  return {
    id: run.id,
    name: escapeText(run.name),
    task: config === null ? null : taskOf(config),
    method: config === null ? null : escapeText(String(config.settings.method)),
    sweep: run.sweep,
    state: run.state,
    why: run.why === null ? null : escapeText(run.why),
    step: result?.stepsDone ?? digest.step,
    steps: run.steps,
    left: run.left,
    loss: digest.loss,
    score: scoreOf(run),
    tokensPerSecond: digest.tokensPerSecond,
    updated: run.updated,
  }
}

/** That of the best evaluation that may be the run's; before there is one, of the last. */
const scoreOf = ({ config, result, digest }: WatchedRun): RunLine['score'] => {
  const [best, last] = result === null ? [digest.best, digest.last] : [result.best, result.last]
  const scores = best?.scores ?? last?.scores ?? {}
  if (Object.keys(scores).length === 0) return null
  const own = result?.selectedBy
  const name = own !== undefined && own in scores ? own : scoreNameOf(config === null ? '' : taskOf(config), scores)
  const value = scores[name]
  return typeof value === 'number' ? { name: escapeText(name), value, which: best === null ? 'last' : 'best' } : null
}

export type SweepLine = {
  readonly id: string
  readonly name: string
  readonly sweep: string
  readonly problem: string | null
  readonly atWork: boolean
  /** cells by their state; those of a plan that have no folder yet are waiting */
  readonly counts: Readonly<Record<RunState, number>>
  readonly cells: number
  /** of all cells' steps */
  readonly share: number
  /** seconds, by what finished cells took; null before one has, or where nothing works */
  readonly left: number | null
  readonly stage: 'grid' | 'table' | null
}

type SweepCell = { readonly id: string; readonly run: WatchedRun | null; readonly state: RunState; readonly why: string | null }

/** Those of the plan in its order; without a plan, whatever folders there are. */
const cellsOf = (sweep: WatchedSweep): ReadonlyArray<SweepCell> => {
  const byId = new Map(sweep.runs.map((run) => [run.folder, run]))
  const planned = sweep.plan?.cells.map(({ id }) => id)
  return (planned ?? sweep.runs.map(({ folder }) => folder.slice(join(sweep.folder, 'cells').length + 1))).map((id) => {
    const run = byId.get(join(sweep.folder, 'cells', id)) ?? null
    const failure = sweep.failures.get(id)
    const state = run?.state ?? (failure === undefined ? 'waiting' : 'failed')
    return { id, run, state, why: run?.why ?? failure?.message ?? null }
  })
}

export const sweepLine = (sweep: WatchedSweep): SweepLine => {
  const cells = cellsOf(sweep)
  const counts = Object.fromEntries(runStates.map((state) => [state, cells.filter((cell) => cell.state === state).length])) as Record<
    RunState,
    number
  >
  const shares = cells.map(({ state, run }) =>
    state === 'finished' ? 1 : run?.steps == null ? 0 : Math.min(1, run.digest.step / run.steps),
  )
  const share = shares.reduce((a, b) => a + b, 0) / Math.max(1, cells.length)
  const took = cells.flatMap(({ state, run }) => (state === 'finished' && run?.result != null ? [run.result.seconds] : []))
  const mean = took.reduce((a, b) => a + b, 0) / Math.max(1, took.length)
  const undone = cells.length * (1 - share)
  return {
    id: sweep.id,
    name: escapeText(sweep.name),
    sweep: escapeText(sweep.plan?.sweep ?? sweep.stored?.sweep ?? 'sweep'),
    problem: sweep.problem === null ? null : escapeText(sweep.problem),
    atWork: sweep.atWork,
    counts,
    cells: cells.length,
    share,
    left: took.length === 0 || counts.running === 0 ? null : (mean * undone) / counts.running,
    stage: sweep.plan?.stage ?? null,
  }
}

export type ShownTable = {
  readonly caption: string
  readonly columns: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

export type SweepView = {
  readonly line: SweepLine
  readonly cells: ReadonlyArray<
    RunLine | { readonly id: null; readonly name: string; readonly state: RunState; readonly why: string | null }
  >
  /** of the cells that are done; null where none is */
  readonly table: ShownTable | null
}

export const sweepView = (sweep: WatchedSweep): SweepView => ({
  line: sweepLine(sweep),
  cells: cellsOf(sweep).map(({ id, run, state, why }) =>
    run === null
      ? { id: null, name: escapeText(id), state, why: why === null ? null : escapeText(why) }
      : { ...runLine(run), name: escapeText(id) },
  ),
  table: tableOf(sweep),
})

const tableOf = (sweep: WatchedSweep): ShownTable | null => {
  const { plan, stored } = sweep
  const table = plan !== null && plan.stage === 'table' ? soFar(sweep, plan) : stored?.table
  if (table === undefined || table.rows.length === 0) return null
  const [shown] = sweepTables([{ sweep: plan?.sweep ?? stored?.sweep ?? '', name: sweep.name, table }])
  if (shown === undefined) return null
  const { columns, rows } = shown.table
  return {
    caption: shown.caption,
    columns,
    rows: rows.map((row) => row.map(String)),
  }
}

const soFar = (sweep: WatchedSweep, plan: NonNullable<WatchedSweep['plan']>): SweepTable => {
  const byId = new Map(cellsOf(sweep).map((cell) => [cell.id, cell]))
  return partialTable(
    plan,
    plan.cells.map((cell) => {
      const { state, run, why } = byId.get(cell.id) ?? { state: 'waiting', run: null, why: null }
      if (state === 'finished' && run?.result != null) return { cell, outcome: { kind: 'done', result: run.result, kept: true } }
      if (state === 'failed') return { cell, outcome: { kind: 'failed', message: why ?? '', attempts: 1 } }
      return { cell, outcome: { kind: 'stopped' } }
    }),
  )
}

export type Settings = ReadonlyArray<readonly [name: string, value: string]>

export type RunView = {
  readonly line: RunLine
  /** of the newest step and evaluation, and of the result where there is one */
  readonly numbers: ReadonlyArray<readonly [name: string, value: number]>
  readonly settings: Settings
  /** what stopping it would do; null where it cannot be stopped from here */
  readonly stops: string | null
  /** why it cannot be stopped from here, of one that runs */
  readonly cannotStop: string | null
  /** how to go on with it; null where nothing is left, or it runs */
  readonly goOn: string | null
}

/** What the holder's end means for the run, and for others. */
export const effectOf = ({ command, pid }: Holder, run: Pick<WatchedRun, 'folder'>): string => {
  switch (command) {
    case 'cell':
      return `Process ${pid}, which makes this run of a sweep alone, ends after the step at hand and saves. The sweep goes on with its other runs; the same salora glue command, with this one.`
    default:
      return `Process ${pid} ends after the step at hand and saves, as after Ctrl-C. Go on with: ${resumeCommand(run.folder)}`
  }
}

export const runView = (run: WatchedRun, holder: Holder | string | null): RunView => {
  const { digest, result, state, sweep } = run
  const numbers: (readonly [string, number | null | undefined])[] = [
    ['density', digest.density],
    ['λ', digest.lambda],
    ...Object.entries((result?.best ?? digest.best)?.scores ?? {}).map(([name, value]) => [`${name}, best`, value] as const),
    ...Object.entries((result === null ? digest.last : result.last)?.scores ?? {}).map(
      ([name, value]) => [`${name}, last`, value] as const,
    ),
    ['target density', result?.targetDensity],
    ['expected density', result?.expectedDensity],
    ['retained density', result?.retainedDensity],
    ['retained parameters', result?.retainedParameters],
    ...Object.entries(result?.trainableParameters ?? {}).map(([part, count]) => [`trained in the ${part}`, count] as const),
    ['seconds', result?.seconds],
    ['peak memory in bytes', result?.peakMemoryBytes],
  ]
  const goesOn = state === 'interrupted' || state === 'lost' || state === 'failed'
  return {
    line: runLine(run),
    numbers: numbers.flatMap(([name, value]) => (typeof value === 'number' ? [[escapeText(name), value] as const] : [])),
    settings: run.config === null ? [] : settingsOf(run.config),
    stops: holder === null || typeof holder === 'string' ? null : effectOf(holder, run),
    cannotStop: typeof holder === 'string' ? holder : null,
    goOn: !goesOn ? null : sweep === null ? shownCommand(run.folder) : 'the same salora glue command goes on with it',
  }
}

/** A command is shown whole, or it would be another. */
const shownCommand = (folder: string): string => resumeCommand(folder)

/** As config.json has them, flat. */
export const settingsOf = ({ model, revision, adapter, task, settings, device, versions }: RunConfig): Settings =>
  Object.entries({
    model,
    ...(revision == null ? {} : { revision }),
    ...(adapter === undefined ? {} : { adapter }),
    ...task,
    ...settings,
    device,
    ...(versions?.['salora'] === undefined ? {} : { salora: versions['salora'] }),
  }).map(([name, value]) => [escapeText(name), escapeText(typeof value === 'object' ? JSON.stringify(value) : String(value))])

export type CompareView = {
  readonly lines: ReadonlyArray<RunLine>
  /** settings in which they differ; – where a run has none of that name */
  readonly differing: ShownTable
}

export const compareView = (runs: ReadonlyArray<WatchedRun>): CompareView => {
  const all = runs.map(({ config }) => new Map(config === null ? [] : settingsOf(config)))
  const names = [...new Set(all.flatMap((one) => [...one.keys()]))]
  const differing = names.filter((name) => new Set(all.map((one) => one.get(name))).size > 1)
  return {
    lines: runs.map(runLine),
    differing: {
      caption:
        differing.length === 0 ? 'They have the same settings.' : `Settings in which they differ: ${differing.length} of ${names.length}.`,
      columns: ['setting', ...runs.map(({ name }) => escapeText(name))],
      rows: differing.map((name) => [name, ...all.map((one) => one.get(name) ?? '–')]),
    },
  }
}
