/** The search for learning rates. Each rate of the grid is tried with one seed, which no reported run has; each task and row gets the best one. */
import type { Model } from '../../accelerated/models/architecture.js'
import type { Cell } from './cell.js'
import type { CellOutcome } from '../cells/executor.js'
import type { GlueSweepOptions, OnSweepEvent } from './sweepOptions.js'
import { gridCells, rateKey, type ChosenRates, type Grid } from './plan.js'
import { scoreOf } from './score.js'
import { writePlan } from './storedPlan.js'
import { sweepPlan } from './sweepPlan.js'
import type { EndedCell } from './sweepTable.js'

export type Choice = { readonly rates: ChosenRates; readonly ended: ReadonlyArray<EndedCell> }
export const noChoice: Choice = { rates: new Map(), ended: [] }

type Context = {
  readonly onEvent: OnSweepEvent
  readonly run: (cells: ReadonlyArray<Cell>) => Promise<ReadonlyArray<CellOutcome>>
  readonly signal: AbortSignal
}

/** The best rate of each task and row, the smallest of equal ones. If no rate has a score, the recipe's rate stays and a message says so. */
export const chooseRates = async (
  options: GlueSweepOptions,
  model: Model,
  grid: Grid,
  { onEvent, run, signal }: Context,
): Promise<Choice> => {
  const cells = gridCells(options, model.spec, grid)
  await writePlan(options.output, sweepPlan(options, model, 'grid', cells))
  onEvent({ kind: 'planned', stage: 'grid', cells: cells.length })
  const outcomes = await run(cells)
  const best = new Map<string, { readonly rate: number; readonly score: number }>()
  for (const [i, cell] of cells.entries()) {
    const outcome = outcomes[i]
    if (outcome?.kind !== 'done') continue
    const [rate, score] = [cell.options.settings.learningRate, scoreOf(cell.task, options.reported, outcome.result)]
    if (!Number.isFinite(score)) continue // the run diverged
    const earlier = best.get(rateKey(cell))
    if (earlier === undefined || score > earlier.score) best.set(rateKey(cell), { rate, score })
  }
  if (!signal.aborted)
    for (const key of new Set(cells.map(rateKey)))
      if (!best.has(key)) onEvent({ kind: 'message', text: `${key}: no rate of --grid has a score; using the recipe's rate` })
  return {
    rates: new Map([...best].map(([key, { rate }]) => [key, rate])),
    ended: cells.flatMap((cell, i) => (outcomes[i] === undefined ? [] : [{ cell, outcome: outcomes[i] }])),
  }
}
