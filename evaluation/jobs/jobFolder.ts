/** A cell's folder on disk: how far its run is, and the error of its last attempt. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { makeFolder } from '../../accelerated/storage/folders.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { fileInFolder } from '../../accelerated/storage/paths.js'
import { differing } from '../../accelerated/checkpoints/fingerprint.js'
import type { StoredMetric } from '../../finetuning/metrics/metricModule.js'
import type { RunConfig, RunOptions, RunResult } from '../../finetuning/run/run.js'
import { decisiveSettings, earlierDefaults, type RunInputs } from '../../finetuning/run/runFingerprint.js'
import { readRunConfig, readRunResult, parseRunConfig, parseRunResult, runFileLimit } from '../../finetuning/run/runFiles.js'

/** One run of a sweep or of a search. */
export type RunCell = {
  /** names the run's folder and its lines in logs: `mrpc.salora.seed-0` */
  readonly id: string
  readonly options: Omit<RunOptions, 'output' | 'resume'>
  /** the digests that the run's inputs must have; absent: any */
  readonly inputs?: RunInputs
  /** what config.json must record of the module in `options.metric` */
  readonly metric?: StoredMetric
}

export type CellState =
  | { readonly kind: 'new' }
  /** the run started and can resume from its checkpoint */
  | { readonly kind: 'begun' }
  | { readonly kind: 'done'; readonly result: RunResult }

export const cellFolder = (output: string, { id }: Pick<RunCell, 'id'>): string => join(output, 'cells', id)

/** @throws InputError if the folder has a run with other settings, another model or other data */
export const cellState = async (output: string, cell: RunCell): Promise<CellState> => {
  const folder = cellFolder(output, cell)
  const config = await readRunConfig(folder)
  if (config === null) return { kind: 'new' }
  checkSameRun(cell, config, folder)
  const result = await readRunResult(folder)
  return result === null || result.interrupted ? { kind: 'begun' } : { kind: 'done', result }
}

/** @throws InputError if the run has other settings, another model, other data or another metric than the cell */
export const checkSameRun = (
  { options, inputs, metric }: RunCell,
  config: Pick<RunConfig, 'model' | 'task' | 'settings' | 'inputs' | 'metric'>,
  where: string,
): void => {
  const { model, task, settings } = options
  const expected = { ...decisiveSettings(settings), model, ...task }
  const actual = { ...decisiveSettings(config.settings), model: config.model, ...config.task }
  const [difference] = differing(actual, expected, earlierDefaults(settings))
  if (difference !== undefined)
    throw inputError(where, 'a run of this sweep (or another --output)', `a run of another sweep: ${difference}`)
  // a run of a version that recorded none has no digests
  const [changed] = inputs === undefined || config.inputs === undefined ? [] : differing(config.inputs, inputs)
  if (changed !== undefined)
    throw inputError(where, 'a run on the same rows and the same model (or another --output)', `a run on others: ${changed}`)
  const [scored] = differing(config.metric ?? {}, metric ?? {})
  if (scored !== undefined)
    throw inputError(where, 'a run with the metric of this search (or another --output)', `a run with another: ${scored}`)
}

/** The states of all cells, one after another, so that the first wrong folder is reported. @throws InputError as cellState */
export const cellStates = async (output: string, cells: readonly RunCell[]): Promise<readonly CellState[]> => {
  const states: CellState[] = []
  for (const cell of cells) states.push(await cellState(output, cell))
  return states
}

export type CellFailure = { readonly message: string; readonly attempts: number }

const failureSchema = z.object({ message: z.string().max(10_000), attempts: z.int().min(1) })
const failureFileLimit = 100_000

const failureName = ({ id }: Pick<RunCell, 'id'>): string => `${id}.json`

/** The error of the cell's last attempt; null if it did not fail. @throws InputError if the file is invalid */
export const cellFailure = async (output: string, cell: Pick<RunCell, 'id'>): Promise<CellFailure | null> => {
  const file = await fileInFolder(join(output, 'failures'), failureName(cell)).catch(() => undefined)
  return file === undefined ? null : validate(failureSchema, parseJson(await readText(file, failureFileLimit), file), file, 'a failure')
}

export const writeFailure = async (output: string, cell: RunCell, failure: CellFailure): Promise<void> => {
  await makeFolder(join(output, 'failures'))
  await writeFileAtomically(
    join(output, 'failures', failureName(cell)),
    `${JSON.stringify({ ...failure, message: failure.message.slice(0, 10_000) })}\n`,
  )
}

export const clearFailure = (output: string, cell: RunCell): Promise<void> =>
  rm(join(output, 'failures', failureName(cell)), { force: true })

/** The JSON text of a finished cell. */
export const finishedRun = async (output: string, cell: RunCell): Promise<string> => {
  const folder = cellFolder(output, cell)
  return JSON.stringify({ config: await readRunConfig(folder), result: await readRunResult(folder) })
}

/** The characters of both files, and of the JSON around them. */
const returnedLimit = 2 * runFileLimit + 100

const schema = z.strictObject({ config: z.looseObject({}), result: z.looseObject({}) })

/**
 * The result in the text of `finishedRun`. If the cell's folder has no result, both files are written into it, so that the next call finds the
 * cell done. @throws InputError if the text is no finished run of this cell: anyone who can write to Redis may have written it
 */
export const keepFinishedRun = async (returned: unknown, output: string, cell: RunCell): Promise<RunResult> => {
  const where = `the result of ${cell.id} in the queue`
  const text = String(returned)
  if (text.length > returnedLimit) throw inputError(where, `at most ${returnedLimit} characters`, `${text.length}`)
  const { config, result } = validate(schema, parseJson(text, where), where, 'a finished run')
  const folder = cellFolder(output, cell)
  const state = await cellState(output, cell)
  if (state.kind === 'done') return state.result
  const parsed = parseRunResult(JSON.stringify({ ...result, output: folder }), where)
  if (parsed.interrupted) throw inputError(where, 'a finished run', 'an interrupted run')
  checkSameRun(cell, parseRunConfig(JSON.stringify(config), where), where)
  await makeFolder(folder)
  await writeFileAtomically(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
  await writeFileAtomically(join(folder, 'result.json'), `${JSON.stringify(parsed, null, 2)}\n`)
  return parsed
}

/** Writes a result into the folder of a sweep or a transfer: its table in three forms, and all of it as JSON. */
export const writeTables = async (
  folder: string,
  table: Readonly<Record<'md' | 'csv' | 'tex', string>>,
  name: string,
  result: object,
): Promise<void> => {
  for (const [form, text] of Object.entries(table)) await writeFileAtomically(join(folder, `table.${form}`), text)
  await writeFileAtomically(join(folder, name), `${JSON.stringify(result, null, 2)}\n`)
}
