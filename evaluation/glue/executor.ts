/** Works cells off, several at a time, each in a process of its own: what is done is kept, what was begun goes on, what fails is told and left. */
import pMap from 'p-map'
import type { FinetuneEvent, FinetuneOptions, RunResult } from '../../finetuning/runs/run.js'
import type { Cell } from './cell.js'
import { cellFailure, cellFolder, cellStates, clearFailure, writeFailure } from './cellFolder.js'
import { childProcessRun } from './childProcessRun.js'

export type CellOutcome =
  | { readonly kind: 'done'; readonly result: RunResult; readonly kept: boolean }
  | { readonly kind: 'failed'; readonly message: string; readonly attempts: number }
  /** the signal came first, or somebody else stopped this one run */
  | { readonly kind: 'stopped' }

export type ExecutorEvent =
  | { readonly kind: 'started'; readonly cell: Cell; readonly resumes: boolean }
  | { readonly kind: 'step'; readonly cell: Cell; readonly step: number; readonly steps: number }
  /** it is not being made, and why; it will be */
  | { readonly kind: 'waits'; readonly cell: Cell; readonly why: string }
  /** Redis is gone, or there again */
  | { readonly kind: 'queue'; readonly there: boolean }
  | { readonly kind: 'ended'; readonly cell: Cell; readonly outcome: CellOutcome }

/** How a run is made; in a process of its own, but for tests. */
export type Run = (options: FinetuneOptions, given: { readonly signal: AbortSignal }) => AsyncIterable<FinetuneEvent>

export type ExecutorOptions = {
  readonly output: string
  /** cells at a time */
  readonly jobs: number
  readonly signal: AbortSignal
  readonly tell: (event: ExecutorEvent) => void
  readonly run?: Run
}

/** Outcomes in the order of the cells. @throws Mistake where a cell's folder holds another run: nothing is then begun */
export const runCells = async (cells: ReadonlyArray<Cell>, options: ExecutorOptions): Promise<ReadonlyArray<CellOutcome>> => {
  const states = await cellStates(options.output, cells)
  return pMap(
    cells,
    async (cell, i) => {
      const state = states[i]
      const outcome: CellOutcome = state?.kind === 'done' ? { ...state, kept: true } : await attempt(cell, state?.kind === 'begun', options)
      options.tell({ kind: 'ended', cell, outcome })
      return outcome
    },
    { concurrency: options.jobs },
  )
}

/** One attempt at a cell. An error is the cell's, not the sweep's: the others go on, and the next call tries again. */
export const attempt = async (
  cell: Cell,
  resumes: boolean,
  { output, signal, tell, run = childProcessRun }: Pick<ExecutorOptions, 'output' | 'signal' | 'tell' | 'run'>,
): Promise<CellOutcome> => {
  if (signal.aborted) return { kind: 'stopped' }
  tell({ kind: 'started', cell, resumes })
  let steps = 0
  try {
    for await (const event of run({ ...cell.options, output: cellFolder(output, cell), resume: resumes }, { signal })) {
      if (event.kind === 'start') steps = event.steps
      if (event.kind === 'step') tell({ kind: 'step', cell, step: event.step, steps })
      if (event.kind === 'result' && !event.result.interrupted) {
        await clearFailure(output, cell)
        return { kind: 'done', result: event.result, kept: false }
      }
    }
    return { kind: 'stopped' }
  } catch (thrown) {
    if (signal.aborted) return { kind: 'stopped' }
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    const attempts = ((await cellFailure(output, cell))?.attempts ?? 0) + 1
    await writeFailure(output, cell, { message, attempts })
    return { kind: 'failed', message, attempts }
  }
}
