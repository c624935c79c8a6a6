/** A sweep over GLUE, from a request to its table. The sweep keeps all runs in one folder, and a later call resumes it. */
import { dirname, join } from 'node:path'
import { writeTables, cellFolder } from '../jobs/jobFolder.js'
import { lockFolder } from '../../accelerated/storage/folderLock.js'
import { makeFolder } from '../../accelerated/storage/folders.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { systemInputError } from '../../accelerated/errors/systemError.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { peakLearningRate } from '../../accelerated/training/learningRate.js'
import { versions } from '../../finetuning/run/versions.js'
import { type Cell, findScore, type Reported } from './sweep.js'
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
import { existsSync } from 'node:fs'
import { zipSync } from 'fflate'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { isHubAddress } from '../../accelerated/checkpoints/hub/hubRules.js'
import { resolveDataset } from '../../accelerated/checkpoints/hub/hub.js'
import { readTexts } from '../../finetuning/data/delimited.js'
import { GLUE_TASKS, type GlueName } from '../../finetuning/data/glueTasks.js'
import { glueTests, glueTestsOnHub, submissionNames, type GlueTest } from '../../finetuning/data/glueTestSet.js'
import { openTrainedAdapter, type Text } from '../../finetuning/use/openModel.js'

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
  readonly submission: Submission | null
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
  await prepareFolders(options, planned)
  const lock = await lockFolder(output, `--output ${output}`)
  try {
    const run = (cells: readonly Cell[]) => execute(cells, { output, signal, onEvent })
    const choice = grid === null ? noChoice : await chooseRates(options, model, grid, { onEvent, run, signal })
    const cells = grid === null ? planned : planCells(options, model.spec, choice.rates)
    await writePlan(output, sweepPlan(options, model, 'table', cells))
    onEvent({ kind: 'planned', stage: 'table', cells: cells.length })
    const ended = endedCells(cells, await run(cells))
    const result = buildResult(options, model, ended, choice)
    await writeResult(output, result) // before the submission, so that a wrong test file costs no table
    if (options.submission === null || signal.aborted) return result
    const submission = await writeSubmission({
      ...options,
      file: options.submission.file,
      row: options.submission.row ?? planned.at(-1)?.row ?? '',
      ended,
      onMessage: (text) => onEvent({ kind: 'message', text }),
    })
    await writeResult(output, { ...result, submission })
    return { ...result, submission }
  } finally {
    await lock.release()
  }
}

/** Finds mistakes before runs that may take days, and makes the folders. @throws InputError */
const prepareFolders = async ({ output, submission, data, baseline }: GlueSweepOptions, planned: readonly Cell[]): Promise<void> => {
  checkRow('--baseline', baseline, planned)
  checkRow('--submission-row', submission?.row ?? null, planned)
  if (submission !== null) {
    await loadTests(data, [...new Set(planned.map(({ task }) => task))])
    await makeWritable(`--submission ${submission.file}`, dirname(submission.file))
  }
  await makeWritable(`--output ${output}`, output)
}

const makeWritable = (flag: string, folder: string): Promise<void> =>
  makeFolder(folder).catch((thrown: unknown) => {
    throw systemInputError(flag, 'a folder that can be written', thrown)
  })

/** @throws InputError for a row that the table will not have */
const checkRow = (flag: string, row: string | null, planned: readonly Cell[]): void => {
  const names = [...new Set(planned.map((cell) => cell.row))]
  if (row !== null && !names.includes(row)) throw inputError(flag, `a row of the table (${names.join('; ')})`, quoted(row))
}

/** The outcome of every cell that has one. */
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
  submission: null,
  versions,
})

const writeResult = (output: string, result: GlueSweepResult): Promise<void> =>
  writeTables(output, { md: sweepMarkdown(result.table), csv: sweepCsv(result.table), tex: sweepLatex(result.table) }, 'sweep.json', result)

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

/** Predictions for GLUE's test files in the form of gluebenchmark.com: a zip with one file per task, columns `index` and `prediction`. */
type Submission = {
  readonly file: string
  readonly row: string
  /** the run that predicts each task: the seed with the best score on dev */
  readonly runs: Readonly<Record<string, string>>
  /** files of a full submission that are not in the zip */
  readonly missing: readonly string[]
}

type SubmissionOptions = {
  readonly ended: readonly EndedCell[]
  readonly row: string
  readonly reported: Reported
  /** the sweep's folder */
  readonly output: string
  /** GLUE, as --data names it */
  readonly data: string
  readonly file: string
  readonly onMessage: (text: string) => void
}

/** The test files of tasks; those of a hub dataset are downloaded. @throws InputError if no task has one */
export const loadTests = async (data: string, tasks: readonly GlueName[]): Promise<ReadonlyMap<GlueName, readonly GlueTest[]>> => {
  const tests = new Map<GlueName, readonly GlueTest[]>()
  for (const task of tasks) tests.set(task, glueTests(task, isHubAddress(data) ? await resolveDataset(data, glueTestsOnHub(task)) : data))
  if ([...tests.values()].every((files) => files.length === 0))
    throw inputError('--submission', `GLUE's test files in ${data}`, `none for ${tasks.join(', ')}`)
  return tests
}

/** Writes the zip with the predictions of one row's runs. @throws InputError if the row has no finished run, or no task has a test file */
const writeSubmission = async (options: SubmissionOptions): Promise<Submission> => {
  const { ended, row, reported, data, file, onMessage } = options
  const files: Record<string, Uint8Array> = {}
  const runs: Record<string, string> = {}
  for (const [task, tests] of await loadTests(data, [...new Set(ended.map(({ cell }) => cell.task))])) {
    const best = bestRun(ended, row, task, reported)
    if (best === null || tests.length === 0) continue
    runs[task] = best.cell.id
    for (const test of tests) {
      onMessage(`predicting ${test.name} with ${best.cell.id}`)
      files[test.name] = Buffer.from(await predictions(options, best, test))
    }
  }
  if (Object.keys(files).length === 0) throw inputError('--submission', 'a row with finished runs', `none of ${row}`)
  await writeFileAtomically(file, zipSync(files))
  return { file, row, runs, missing: submissionNames.filter((name) => files[name] === undefined) }
}

/** The run of this row and task with the highest score, the first of equal ones; null if none is done. */
export const bestRun = (ended: readonly EndedCell[], row: string, task: GlueName, reported: Reported): EndedCell | null => {
  let best: { readonly run: EndedCell; readonly score: number } | null = null
  for (const run of ended) {
    if (run.cell.row !== row || run.cell.task !== task || run.outcome.kind !== 'done') continue
    const score = findScore(task, reported, run.outcome.result)
    if (best === null || score > best.score) best = { run, score }
  }
  return best?.run ?? null
}

/** The text of one file of the zip. */
const predictions = async ({ output }: SubmissionOptions, { cell }: EndedCell, test: GlueTest): Promise<string> => {
  const { model, settings } = cell.options
  const { device, precision, threads, maxLength, batchSize } = settings
  const folder = join(cellFolder(output, cell), 'adapter')
  if (!existsSync(folder))
    throw inputError('--submission', `the adapter of ${cell.id} in ${folder}`, 'none (a worker with --local-root keeps its adapters)')
  const texts = await testTexts(test)
  const adapter = await openTrainedAdapter({ model, adapter: folder, device, precision, threads, maxLength, batchSize })
  try {
    const lines = (await adapter.predict(texts)).map((logits, i) => `${i}\t${formatAnswer(cell.task, logits)}\n`)
    return `index\tprediction\n${lines.join('')}`
  } finally {
    await adapter.release()
  }
}

const testTexts = async ({ files, columns }: GlueTest): Promise<readonly Text[]> => {
  const texts: Text[] = []
  for (const file of files)
    await readTexts(file, columns, (row, text, textPair) => {
      if (text === null) throw inputError(`${file}, row ${row}`, 'a text', 'none')
      texts.push({ text, textPair: textPair ?? undefined })
    })
  return texts
}

/** A label as GLUE writes it, or a similarity from 0 to 5. */
export const formatAnswer = (task: GlueName, logits: readonly number[]): string => {
  const { labels } = GLUE_TASKS[task]
  return labels === null
    ? Math.min(5, Math.max(0, logits[0] ?? NaN)).toFixed(3)
    : (labels[logits.indexOf(Math.max(...logits))]?.written ?? '')
}
