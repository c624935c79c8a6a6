/** A finished run in the queue: its config.json and result.json, which the sweep writes if the run was made on another disk. */
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { makeFolder } from '../../accelerated/storage/folders.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { parseRunConfig, parseRunResult, readRunConfig, readRunResult, runFileLimit } from '../../finetuning/run/runFiles.js'
import type { RunCell } from './cellFolder.js'
import { cellFolder, cellState, checkSameRun } from './cellFolder.js'

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
