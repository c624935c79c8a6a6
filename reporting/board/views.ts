/** What the board sends of runs and sweeps: as a line of a list, in detail, side by side. Names are escaped here; numbers are those of the files. */
import { resumeCommand } from '../../finetuning/commandLine/shell.js'
import type { RunConfig, Scores } from '../../finetuning/run/run.js'
import { runColumns } from '../../finetuning/use/runSource.js'
import { findTaskTypeByName } from '../../finetuning/tasks/findTaskType.js'
import { chooseMetric, taskName } from '../runs/series.js'
import { escapeText } from '../text/html.js'
import { bytesText, dateText, durationText, percentText, scoreText } from '../text/units.js'
import { type CompareView, type RunLine, type RunView, runStatuses, type RunStatus, type SweepLine, type SweepView } from './events.js'
import type { RunProcess } from './runProcess.js'
import type { WatchedRun } from './watchRun.js'
import { join } from 'node:path'
import type { SweepPlan } from '../../evaluation/glue/plan.js'
import { partialTable, type SweepTable } from '../../evaluation/glue/sweepTable.js'
import { sweepTables } from '../report/reportTables.js'
import type { WatchedSweep } from './watch.js'

export const runLine = (run: WatchedRun): RunLine => {
  const { config, result, metrics } = run
  return {
    id: run.id,
    name: escapeText(run.name),
    task: config === null ? null : taskName(config),
    method: config === null ? null : escapeText(String(config.settings.method)),
    sweep: run.sweep,
    status: run.status,
    reason: run.reason === null ? null : escapeText(run.reason),
    step: result?.stepsDone ?? metrics.step,
    steps: run.steps,
    secondsLeft: run.secondsLeft,
    loss: metrics.loss,
    score: findScore(run),
    curve: metrics.curve,
    tokensPerSecond: metrics.tokensPerSecond,
  }
}

/** The metric by which the run is selected; undefined: it is not a single one. */
export const selectionMetric = ({ result, metrics }: Pick<WatchedRun, 'result' | 'metrics'>): string | undefined =>
  result?.selectedBy ?? (metrics.best ?? metrics.last)?.selectedBy

const findScore = (run: WatchedRun): RunLine['score'] => {
  const { best, last } = run.result ?? run.metrics
  const scores = best?.scores ?? last?.scores ?? {}
  if (Object.keys(scores).length === 0) return null
  const metric = chooseMetric(run.config === null ? '' : taskName(run.config), scores, selectionMetric(run))
  const value = scores[metric]
  return typeof value === 'number' ? { metric, value, evaluation: best === null ? 'last' : 'best' } : null
}

/** What happens to the run, and to others, when its process is stopped. */
export const stopEffect = ({ command, pid }: RunProcess, { folder }: Pick<WatchedRun, 'folder'>): string =>
  command === 'cell'
    ? `Process ${pid} finishes the current step and saves. It only works on this run of a sweep; the sweep continues with the others. Run the same salora glue command to resume this run.`
    : `Process ${pid} finishes the current step and saves, as after Ctrl-C. Resume with: ${resumeCommand(folder)}`

/** @param process the run's process, or why the board cannot stop it; null if the run is not running */
export const runView = (run: WatchedRun, process: RunProcess | string | null): RunView => ({
  line: runLine(run),
  numbers: listNumbers(run),
  settings: run.config === null ? [] : listSettings(run.config),
  stopEffect: process === null || typeof process === 'string' ? null : stopEffect(process, run),
  stopObstacle: typeof process === 'string' ? process : null,
  ...describeSentence(run),
  resume: resumeHint(run),
})

/** A run has an adapter when it has ended after a step. */
const describeSentence = ({ config, result }: WatchedRun): Pick<RunView, 'sentence' | 'sentenceObstacle'> => {
  if (config === null || result === null || result.stepsDone === 0) return { sentence: null, sentenceObstacle: null }
  if (findTaskTypeByName(result.taskType)?.command === 'generate')
    return { sentence: null, sentenceObstacle: 'This run writes text: salora generate and salora serve answer its prompts.' }
  return { sentence: runColumns(config).textPair === undefined ? 'text' : 'pair', sentenceObstacle: null }
}

const listNumbers = ({ metrics, result }: WatchedRun): RunView['numbers'] => {
  const evaluations = result ?? metrics
  const scores = (name: string, of: Scores = {}) =>
    Object.entries(of).map(([metric, value]) => [`${name} ${metric}`, formatOptional(value, (score) => scoreText(metric, score))] as const)
  const trained = Object.entries(result?.trainableParameters ?? {})
  const numbers: readonly (readonly [string, number | string | null | undefined])[] = [
    ['λ', result?.lambda ?? metrics.lambda],
    ...scores('best', evaluations.best?.scores),
    ...scores('last', evaluations.last?.scores),
    ['target density', result?.targetDensity],
    ['expected density', result?.expectedDensity ?? metrics.density],
    ['retained density', formatOptional(result?.retainedDensity, percentText)],
    ['retained parameters', result?.retainedParameters],
    ...trained.map(([part, count]) => [`trained parameters: ${part}`, count] as const),
    ['time', formatOptional(result?.seconds, durationText)],
    ['peak memory', formatOptional(result?.peakMemoryBytes, bytesText)],
    ['finished', formatOptional(result?.finishedAt, dateText)],
  ]
  return numbers.flatMap(([name, value]) => (value === null || value === undefined ? [] : [[escapeText(name), value] as const]))
}

/** A score may be null in result.json, where JSON has no NaN. */
const formatOptional = <Value>(value: Value | null | undefined, text: (value: Value) => string): string | null =>
  value === null || value === undefined ? null : text(value)

const resumeHint = ({ status, sweep, folder }: WatchedRun): string | null => {
  if (status !== 'interrupted' && status !== 'crashed' && status !== 'failed') return null
  return sweep === null ? resumeCommand(folder) : 'the same salora glue command'
}

/** The settings of a run, as its config.json has them, in one flat list. */
const listSettings = ({ model, revision, adapter, task, settings, device, versions }: RunConfig): RunView['settings'] =>
  Object.entries({
    model,
    ...(revision == null ? {} : { revision }),
    ...(adapter === undefined ? {} : { adapter }),
    ...task,
    ...settings,
    device,
    ...(versions?.['salora'] === undefined ? {} : { salora: versions['salora'] }),
  }).map(([name, value]) => [escapeText(name), escapeText(typeof value === 'object' ? JSON.stringify(value) : String(value))])

/** Several runs side by side, with the settings in which they differ. */
export const compareView = (runs: readonly WatchedRun[]): CompareView => {
  const settings = runs.map(({ config }) => new Map(config === null ? [] : listSettings(config)))
  const names = [...new Set(settings.flatMap((ofRun) => [...ofRun.keys()]))]
  const differing = names.filter((name) => new Set(settings.map((ofRun) => ofRun.get(name))).size > 1)
  return {
    lines: runs.map(runLine),
    differences: {
      caption:
        differing.length === 0 ? 'The runs have the same settings.' : `The runs differ in ${differing.length} of ${names.length} settings.`,
      columns: ['setting', ...runs.map(({ name }) => escapeText(name))],
      rows: differing.map((name) => [name, ...settings.map((ofRun) => ofRun.get(name) ?? '–')]),
    },
  }
}

/** A sweep on the board: its line in the list, and its view with every cell and the table so far. */
export const sweepView = (sweep: WatchedSweep): SweepView => ({
  line: sweepLine(sweep),
  cells: listCells(sweep).map(({ id, run, status, reason }) =>
    run === null
      ? { id: null, name: escapeText(id), status, reason: reason === null ? null : escapeText(reason) }
      : { ...runLine(run), name: escapeText(id) },
  ),
  table: findTable(sweep),
})

export const sweepLine = (sweep: WatchedSweep): SweepLine => {
  const cells = listCells(sweep)
  const counts = countStatuses(cells)
  const progress = sum(cells.map(computeProgress)) / Math.max(1, cells.length)
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
const listCells = ({ folder, plan, runs, failures }: WatchedSweep): readonly SweepCell[] => {
  const byFolder = new Map(runs.map((run) => [run.folder, run]))
  const ids = plan?.cells.map(({ id }) => id) ?? runs.map((run) => run.folder.slice(join(folder, 'cells').length + 1))
  return ids.map((id) => {
    const run = byFolder.get(join(folder, 'cells', id)) ?? null
    const failure = failures.get(id)
    const status = run?.status ?? (failure === undefined ? 'waiting' : 'failed')
    return { id, run, status, reason: run?.reason ?? failure?.message ?? null }
  })
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

const countStatuses = (cells: readonly SweepCell[]): SweepLine['counts'] =>
  Object.fromEntries(runStatuses.map((status) => [status, cells.filter((cell) => cell.status === status).length])) as SweepLine['counts']

const computeProgress = ({ status, run }: SweepCell): number => {
  if (status === 'finished') return 1
  return run === null || run.steps === null || run.steps === 0 ? 0 : Math.min(1, run.metrics.step / run.steps)
}

const secondsLeft = (cells: readonly SweepCell[], progress: number, running: number): number | null => {
  const finished = cells.flatMap(({ status, run }) => (status === 'finished' && run?.result != null ? [run.result.seconds] : []))
  if (finished.length === 0 || running === 0) return null
  const secondsPerCell = sum(finished) / finished.length
  return (secondsPerCell * cells.length * (1 - progress)) / running
}

const findTable = (sweep: WatchedSweep): SweepView['table'] => {
  const { plan, stored, name } = sweep
  const table = plan?.stage === 'table' ? tableSoFar(sweep, plan) : stored?.table
  if (table === undefined || table.rows.length === 0) return null
  const [shown] = sweepTables([{ sweep: plan?.sweep ?? stored?.sweep ?? '', name, table }])
  return shown === undefined ? null : { ...shown.table, caption: shown.caption }
}

const tableSoFar = (sweep: WatchedSweep, plan: SweepPlan): SweepTable => {
  const byId = new Map(listCells(sweep).map((cell) => [cell.id, cell]))
  const outcomes = plan.cells.map((cell) => {
    const { status, run, reason } = byId.get(cell.id) ?? { status: 'waiting', run: null, reason: null }
    if (status === 'finished' && run?.result != null) return { cell, outcome: { kind: 'done', result: run.result, reused: true } as const }
    if (status === 'failed') return { cell, outcome: { kind: 'failed', message: reason ?? '', attempts: 1 } as const }
    return { cell, outcome: { kind: 'stopped' } as const }
  })
  return partialTable(plan, outcomes)
}
