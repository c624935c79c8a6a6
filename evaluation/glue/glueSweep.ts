/** A sweep over GLUE, from a request to its table. The sweep keeps all runs in one folder, and a later call resumes it. */
import { writeTables } from '../jobs/jobFolder.js'
import { lockFolder } from '../../accelerated/storage/folderLock.js'
import { makeFolder } from '../../accelerated/storage/folders.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { systemInputError } from '../../accelerated/errors/systemError.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { peakLearningRate } from '../../accelerated/training/learningRate.js'
import { versions } from '../../finetuning/run/versions.js'
import { type Cell, findScore } from './sweep.js'
import {
  type GlueSweepOptions,
  type OnSweepEvent,
  planCells,
  type Grid,
  gridCells,
  rateKey,
  type ChosenRates,
  sweepPlan,
  writePlan,
} from './plan.js'
import { checkLengths, openSweepModel, refuseRunFolder, localExecutor, type CellOutcome, type Executor } from '../jobs/executor.js'
import { partialTable, type EndedCell, type SweepTable } from './sweepTable.js'
import { sweepCsv, sweepLatex, sweepMarkdown } from './sweepTableText.js'

export type GlueSweepResult = {
  readonly sweep: string
  readonly model: string
  /** the chosen learning rates, by task and row */
  readonly chosen: Readonly<Record<string, number>>
  readonly chosenOn: Grid['on'] | null
  readonly cells: number
  readonly done: number
  readonly failed: readonly { readonly cell: string; readonly message: string; readonly attempts: number }[]
  readonly table: SweepTable
  readonly versions: typeof versions
}

/**
 * Finished runs are reused, started ones resume, failed ones are retried. The result has all finished cells; after an abort some are missing.
 * @throws InputError or SettingsError for a wrong request, before the first run; InputError if another process uses the folder
 */
export const glueSweep = async (
  options: GlueSweepOptions,
  signal: AbortSignal,
  onEvent: OnSweepEvent,
  execute: Executor<Cell> = localExecutor(options.sweep.inTurn === true ? 1 : options.jobs),
): Promise<GlueSweepResult> => {
  const { output, grid } = options
  const { model } = await openSweepModel(options.model)
  const planned = planCells(options, model.spec) // before anything is written: a wrong request leaves nothing behind
  await refuseRunFolder(output)
  checkLengths(
    model,
    planned.map((cell) => cell.options.settings),
  )
  await prepareFolder(options, planned)
  const lock = await lockFolder(output, `--output ${output}`)
  try {
    const run = (cells: readonly Cell[]) => execute(cells, { output, signal, onEvent })
    const choice = grid === null ? noChoice : await chooseRates(options, model, grid, { onEvent, run, signal })
    const cells = grid === null ? planned : planCells(options, model.spec, choice.rates)
    await writePlan(output, sweepPlan(options, model, 'table', cells))
    onEvent({ kind: 'planned', stage: 'table', cells: cells.length })
    const ended = endedCells(cells, await run(cells))
    const result = buildResult(options, model, ended, choice)
    await writeTables(
      output,
      { md: sweepMarkdown(result.table), csv: sweepCsv(result.table), tex: sweepLatex(result.table) },
      'sweep.json',
      result,
    )
    return result
  } finally {
    await lock.release()
  }
}

/** Finds mistakes before runs that may take days, and makes the folder. @throws InputError */
const prepareFolder = async ({ output, baseline }: GlueSweepOptions, planned: readonly Cell[]): Promise<void> => {
  const rows = [...new Set(planned.map(({ row }) => row))]
  if (baseline !== null && !rows.includes(baseline))
    throw inputError('--baseline', `a row of the table (${rows.join('; ')})`, quoted(baseline))
  await makeFolder(output).catch((thrown: unknown) => {
    throw systemInputError(`--output ${output}`, 'a folder that can be written', thrown)
  })
}

const endedCells = (cells: readonly Cell[], outcomes: readonly CellOutcome[]): readonly EndedCell[] =>
  cells.flatMap((cell, i) => (outcomes[i] === undefined ? [] : [{ cell, outcome: outcomes[i] }]))

const buildResult = (options: GlueSweepOptions, model: Model, ended: readonly EndedCell[], choice: Choice): GlueSweepResult => ({
  sweep: options.sweep.name,
  model: options.model,
  chosen: Object.fromEntries(choice.rates),
  chosenOn: options.grid?.on ?? null,
  cells: ended.length,
  done: ended.filter(({ outcome }) => outcome.kind === 'done').length,
  failed: [...choice.ended, ...ended].flatMap(({ cell, outcome }) =>
    outcome.kind === 'failed' ? [{ cell: cell.id, message: outcome.message, attempts: outcome.attempts }] : [],
  ),
  table: partialTable(sweepPlan(options, model, 'table', []), ended),
  versions,
})

/** The search for learning rates. Each rate of the grid is tried with one seed, which no reported run has; each task and row gets the best one. */
type Choice = { readonly rates: ChosenRates; readonly ended: readonly EndedCell[] }
const noChoice: Choice = { rates: new Map(), ended: [] }

type Context = {
  readonly onEvent: OnSweepEvent
  readonly run: (cells: readonly Cell[]) => Promise<readonly CellOutcome[]>
  readonly signal: AbortSignal
}

/** The best rate of each task and row, the smallest of equal ones. If no rate has a score, the recipe's rate stays and a message says so. */
const chooseRates = async (options: GlueSweepOptions, model: Model, grid: Grid, { onEvent, run, signal }: Context): Promise<Choice> => {
  const cells = gridCells(options, model.spec, grid)
  await writePlan(options.output, sweepPlan(options, model, 'grid', cells))
  onEvent({ kind: 'planned', stage: 'grid', cells: cells.length })
  const ended = endedCells(cells, await run(cells))
  const best = new Map<string, { readonly rate: number; readonly score: number }>()
  for (const { cell, outcome } of ended) {
    if (outcome.kind !== 'done') continue
    const [rate, score] = [peakLearningRate(cell.options.settings), findScore(cell.task, options.reported, outcome.result)]
    if (!Number.isFinite(score)) continue // the run diverged
    const earlier = best.get(rateKey(cell))
    if (earlier === undefined || score > earlier.score) best.set(rateKey(cell), { rate, score })
  }
  if (!signal.aborted)
    for (const key of new Set(cells.map(rateKey)))
      if (!best.has(key)) onEvent({ kind: 'message', text: `${key}: no rate of --grid has a score; using the recipe's rate` })
  return { rates: new Map([...best].map(([key, { rate }]) => [key, rate])), ended }
}
