/** A sweep over GLUE from what is asked for to its table: cells are planned, worked off, and kept in one folder, which a later call goes on with. */
import { basename, dirname, isAbsolute, join } from 'node:path'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { lockFolder } from '../../accelerated/storage/folderLock.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { systemInputError } from '../../accelerated/errors/systemError.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { versions } from '../../finetuning/runs/versions.js'
import { cellsOf, gridCells, rateKey, sizeOf, type ChosenRates, type Grid, type SweepRequest } from './plan.js'
import { csvTable, latexTable, markdownTable, scoreOf, type Reported, type SweepTable, type Worked } from './sweepTable.js'
import { writePlan, type SweepPlan } from './storedPlan.js'
import { testsOf, writeSubmission, type Submission } from './submission.js'
import { partialTable } from './partialTable.js'
import { runCells, type CellOutcome, type ExecutorEvent, type ExecutorOptions } from './executor.js'
import type { Cell } from './cell.js'

export type GlueSweepOptions = SweepRequest & {
  readonly output: string
  readonly jobs: number
  readonly reported: Reported
  /** the row that others are compared with; null: lora, where there is one */
  readonly baseline: string | null
  /** of which the learning rate of each task and row is chosen first, by one seed; null: the recipe's */
  readonly grid: Grid | null
  /** a zip of one row's predictions of the test files, by default the last of the table; null: none. Of a signal that stops the sweep none is written */
  readonly submission: { readonly file: string; readonly row: string | null } | null
}

export type GlueSweepResult = {
  readonly sweep: string
  readonly model: string
  /** learning rates that were chosen, by task and row */
  readonly chosen: Readonly<Record<string, number>>
  readonly chosenOn: 'train' | 'dev' | null
  readonly cells: number
  readonly done: number
  readonly failed: ReadonlyArray<{ readonly cell: string; readonly message: string; readonly attempts: number }>
  readonly table: SweepTable
  readonly submission: Submission | null
  readonly versions: typeof versions
}

/** Where the runs of cells are made: in this process, or by workers of a queue. Outcomes in the order of the cells. */
export type Work = (
  cells: ReadonlyArray<Cell>,
  context: Pick<ExecutorOptions, 'output' | 'signal' | 'tell'>,
) => Promise<ReadonlyArray<CellOutcome>>

export type OnSweepEvent = (
  event:
    | ExecutorEvent
    | { readonly kind: 'note'; readonly what: string }
    | { readonly kind: 'planned'; readonly stage: 'grid' | 'table'; readonly cells: number },
) => void

/**
 * What is done is not done again, what was begun goes on, what failed is tried again. The result is of the cells that are done; where `signal` is
 * aborted not all are. @throws InputError, SettingsError for what is wrong before the first cell, or where the folder is at work
 */
export const glueSweep = async (
  options: GlueSweepOptions,
  signal: AbortSignal,
  tell: OnSweepEvent,
  work: Work = (cells, context) => runCells(cells, { ...context, jobs: options.sweep.inTurn === true ? 1 : options.jobs }),
): Promise<GlueSweepResult> => {
  const { output, grid } = options
  const model = await modelOf(options.model)
  const planned = cellsOf(options, model.spec) // before anything is written: what cannot be planned leaves nothing behind
  checkRow('--baseline', options.baseline, planned)
  checkRow('--submission-row', options.submission?.row ?? null, planned)
  const where = `--output ${output}`
  const folderOf = (flag: string, folder: string): Promise<void> =>
    makeFolder(folder).catch((thrown: unknown) => {
      throw systemInputError(flag, 'a folder that can be written', thrown)
    })
  if (options.submission !== null) {
    // before runs that may take days
    await testsOf(options.data, [...new Set(planned.map(({ task }) => task))])
    await folderOf(`--submission ${options.submission.file}`, dirname(options.submission.file))
  }
  await folderOf(where, output)
  const lock = await lockFolder(output, where)
  try {
    const made = (cells: ReadonlyArray<Cell>) => work(cells, { output, signal, tell })
    const { chosen, tried } = grid === null ? noChoice : await chosenRates(options, model, grid, { tell, made, signal })
    const cells = grid === null ? planned : cellsOf(options, model.spec, chosen)
    await writePlan(output, planFor(options, model, 'table', cells))
    tell({ kind: 'planned', stage: 'table', cells: cells.length })
    const outcomes = await made(cells)
    const worked = cells.flatMap((cell, i): ReadonlyArray<Worked> => (outcomes[i] === undefined ? [] : [{ cell, outcome: outcomes[i] }]))
    const result = resultOf(options, model, worked, { chosen, tried })
    await writeResult(output, result) // first: a test file that is wrong costs no table
    const { submission } = options
    if (submission === null || signal.aborted) return result
    const told = (what: string): void => tell({ kind: 'note', what })
    const written = {
      ...result,
      submission: await writeSubmission({
        ...options,
        file: submission.file,
        row: submission.row ?? planned.at(-1)?.row ?? '',
        worked,
        told,
      }),
    }
    await writeResult(output, written)
    return written
  } finally {
    await lock.release()
  }
}

/** @throws Mistake for a row that the table will not have */
const checkRow = (flag: string, row: string | null, planned: ReadonlyArray<Cell>): void => {
  const names = [...new Set(planned.map((cell) => cell.row))]
  if (row !== null && !names.includes(row)) throw inputError(flag, `a row of the table (${names.join('; ')})`, quoted(row))
}

const modelOf = async (model: string): Promise<Model> =>
  (await openModelFolder((await resolveModel(model)).folder, { memory: Infinity })).model

type Choice = { readonly chosen: ChosenRates; readonly tried: ReadonlyArray<Worked> }
const noChoice: Choice = { chosen: new Map(), tried: [] }

type Trying = {
  readonly tell: OnSweepEvent
  readonly made: (cells: ReadonlyArray<Cell>) => Promise<ReadonlyArray<CellOutcome>>
  readonly signal: AbortSignal
}

/** Of each task and row the rate whose run scored best; of equal ones the smallest. Where none could be scored the recipe's stays, and it is told. */
const chosenRates = async (options: GlueSweepOptions, model: Model, grid: Grid, { tell, made, signal }: Trying): Promise<Choice> => {
  const cells = gridCells(options, model.spec, grid)
  await writePlan(options.output, planFor(options, model, 'grid', cells))
  tell({ kind: 'planned', stage: 'grid', cells: cells.length })
  const outcomes = await made(cells)
  const best = new Map<string, { readonly rate: number; readonly score: number }>()
  for (const [i, cell] of cells.entries()) {
    const outcome = outcomes[i]
    if (outcome?.kind !== 'done') continue
    const [rate, score] = [cell.options.settings.learningRate, scoreOf(cell.task, options.reported, outcome.result)]
    if (!Number.isFinite(score)) continue // a run that fell apart
    const so = best.get(rateKey(cell))
    if (so === undefined || score > so.score) best.set(rateKey(cell), { rate, score })
  }
  const without = [...new Set(cells.map(rateKey))].filter((key) => !best.has(key))
  if (!signal.aborted)
    for (const key of without) tell({ kind: 'note', what: `${key}: no rate of --grid could be scored, so it has the recipe's` })
  const tried = cells.flatMap((cell, i): ReadonlyArray<Worked> => (outcomes[i] === undefined ? [] : [{ cell, outcome: outcomes[i] }]))
  return { chosen: new Map([...best].map(([key, { rate }]) => [key, rate])), tried }
}

const planFor = (options: GlueSweepOptions, model: Model, stage: SweepPlan['stage'], cells: ReadonlyArray<Cell>): SweepPlan => ({
  sweep: options.sweep.name,
  title: [
    options.sweep.summary,
    isAbsolute(options.model) ? basename(options.model) : options.model,
    options.seeds.length === 1 ? '1 seed' : `${options.seeds.length} seeds`,
    `${options.reported} evaluation on dev`,
    ...(options.maxTrainSamples === null ? [] : [`the first ${options.maxTrainSamples} training examples of each task`]),
    ...Object.entries(options.overrides).map(([name, value]) => `${name} ${String(value)}`),
    ...(options.grid === null ? [] : [gridTitle(options.grid)]),
  ].join('; '),
  reported: options.reported,
  baseline: options.baseline ?? 'lora',
  paper: paperSizeOf(model),
  stage,
  cells: cells.map(({ id, row, task, seed }) => ({ id, row, task, seed })),
})

const gridTitle = ({ rates, on }: Grid): string =>
  `learning rates chosen of ${rates.join(', ')} on ${on === 'train' ? 'a held-out tenth of train' : 'dev'}`

const resultOf = (options: GlueSweepOptions, model: Model, worked: ReadonlyArray<Worked>, { chosen, tried }: Choice): GlueSweepResult => {
  return {
    sweep: options.sweep.name,
    model: options.model,
    chosen: Object.fromEntries(chosen),
    chosenOn: options.grid?.on ?? null,
    cells: worked.length,
    done: worked.filter(({ outcome }) => outcome.kind === 'done').length,
    failed: [...tried, ...worked].flatMap(({ cell, outcome }) =>
      outcome.kind === 'failed' ? [{ cell: cell.id, message: outcome.message, attempts: outcome.attempts }] : [],
    ),
    table: partialTable(planFor(options, model, 'table', []), worked),
    submission: null,
    versions,
  }
}

/** The paper's models: RoBERTa of 12 layers of 768 or of 24 of 1024, with its 50,265 words; null for any other. */
const paperSizeOf = ({ type, vocabularySize, spec }: Model): 'base' | 'large' | null => {
  if (type !== 'roberta' || vocabularySize !== 50_265) return null
  const shape = `${spec.layers.length} x ${spec.hiddenSize}`
  return shape === '12 x 768' || shape === '24 x 1024' ? sizeOf(spec) : null
}

const writeResult = async (output: string, result: GlueSweepResult): Promise<void> => {
  const write = (name: string, text: string): Promise<void> => writeFileAtomically(join(output, name), text)
  await write('table.md', markdownTable(result.table))
  await write('table.csv', csvTable(result.table))
  await write('table.tex', latexTable(result.table))
  await write('sweep.json', `${JSON.stringify(result, null, 2)}\n`)
}
