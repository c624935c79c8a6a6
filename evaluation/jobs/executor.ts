/** Runs the cells of a sweep, several at a time: finished runs are reused, started ones resume, and a failure ends its own cell only. */
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { checkPositions } from '../../accelerated/training/runLength.js'
import { findMethod, type Settings } from '../../accelerated/training/resolveSettings.js'
import { readRunConfig } from '../../finetuning/run/runFiles.js'

import pMap from 'p-map'
import type { QueueEvent } from '../../finetuning/machines/leaderEvents.js'
import type { FinetuneEvent, RunOptions, RunResult } from '../../finetuning/run/run.js'
import { type RunCell, cellFailure, cellFolder, cellStates, clearFailure, writeFailure } from './jobFolder.js'
import { childProcessRun } from './childProcess.js'
import { lineInFlags } from '../../finetuning/commandLine/optionNames.js'

export type CellOutcome =
  /** `reused`: the run was finished before this call */
  | { readonly kind: 'done'; readonly result: RunResult; readonly reused: boolean }
  | { readonly kind: 'failed'; readonly message: string; readonly attempts: number }
  /** the signal aborted, or somebody stopped this run alone */
  | { readonly kind: 'stopped' }

export type ExecutorEvent =
  | { readonly kind: 'started'; readonly cell: RunCell; readonly resumes: boolean }
  | { readonly kind: 'step'; readonly cell: RunCell; readonly step: number; readonly steps: number }
  /** the run cannot start yet */
  | { readonly kind: 'waiting'; readonly cell: RunCell; readonly reason: string }
  | QueueEvent
  | { readonly kind: 'ended'; readonly cell: RunCell; readonly outcome: CellOutcome }

/** Makes one run. The default is a child process; tests replace it. */
export type Run = (options: RunOptions, context: { readonly signal: AbortSignal }) => AsyncIterable<FinetuneEvent>

export type ExecutorOptions = {
  readonly output: string
  /** cells at a time */
  readonly jobs: number
  readonly signal: AbortSignal
  readonly onEvent: (event: ExecutorEvent) => void
  readonly run?: Run
}

/** Makes the runs of cells: in child processes, or on the workers of a queue. Outcomes are in the order of the cells. */
export type Executor<Cell extends RunCell = RunCell> = (
  cells: readonly Cell[],
  context: Pick<ExecutorOptions, 'output' | 'signal' | 'onEvent'>,
) => Promise<readonly CellOutcome[]>

/** @param jobs cells at a time */
export const localExecutor =
  (jobs: number): Executor =>
  (cells, context) =>
    runCells(cells, { ...context, jobs })

/** Outcomes in the order of the cells. @throws InputError if a cell's folder has another run; then no run starts */
export const runCells = async (cells: readonly RunCell[], options: ExecutorOptions): Promise<readonly CellOutcome[]> => {
  const states = await cellStates(options.output, cells)
  return pMap(
    cells,
    async (cell, i) => {
      const state = states[i]
      const outcome: CellOutcome =
        state?.kind === 'done' ? { ...state, reused: true } : await attempt(cell, state?.kind === 'begun', options)
      options.onEvent({ kind: 'ended', cell, outcome })
      return outcome
    },
    { concurrency: options.jobs },
  )
}

/** One attempt at a cell. An error becomes the cell's outcome: the other cells continue, and the next call retries it. */
export const attempt = async (
  cell: RunCell,
  resumes: boolean,
  { output, signal, onEvent, run = childProcessRun }: Pick<ExecutorOptions, 'output' | 'signal' | 'onEvent' | 'run'>,
): Promise<CellOutcome> => {
  if (signal.aborted) return { kind: 'stopped' }
  onEvent({ kind: 'started', cell, resumes })
  let steps = 0
  try {
    for await (const event of run({ ...cell.options, output: cellFolder(output, cell), resume: resumes }, { signal })) {
      if (event.kind === 'start') steps = event.steps
      if (event.kind === 'step') onEvent({ kind: 'step', cell, step: event.step, steps })
      if (event.kind === 'result' && !event.result.interrupted) {
        await clearFailure(output, cell)
        return { kind: 'done', result: event.result, reused: false }
      }
    }
    return { kind: 'stopped' }
  } catch (thrown) {
    if (signal.aborted) return { kind: 'stopped' }
    const message = lineInFlags(thrown)
    const attempts = ((await cellFailure(output, cell))?.attempts ?? 0) + 1
    await writeFailure(output, cell, { message, attempts })
    return { kind: 'failed', message, attempts }
  }
}

/** Downloads the model once, and opens it without its weights. @param model a folder in Hugging Face layout, or a hub id @throws InputError */
export const openSweepModel = async (model: string): Promise<ModelFolder> =>
  openModelFolder((await resolveModel(model)).folder, { memory: Infinity })

/** Reports and the board show the cells of a folder that has some, and not a run in it. @throws InputError if the folder has a run */
export const refuseRunFolder = async (output: string): Promise<void> => {
  if ((await readRunConfig(output)) !== null)
    throw inputError(`--output ${output}`, 'a new folder, or one of an earlier call', 'config.json of a run')
}

/** @throws SettingsError for the first run whose texts would exceed the model's positions */
export const checkLengths = (model: Model, runs: readonly Settings[]): void => {
  for (const settings of runs) checkPositions(findMethod(settings.method), settings, model)
}
