/** A finished run on its way through the queue: its config.json and result.json, which the caller keeps where it did not see them written. */
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/boundedJson.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { RunResult } from '../../finetuning/runs/run.js'
import { parseRunConfig, parseRunResult, readRunConfig, readRunResult } from '../../finetuning/runs/runFiles.js'
import type { Cell } from './cell.js'
import { cellFolder, cellState, checkIsOf } from './cellFolder.js'

/** Of a cell that is done. */
export const finishedRun = async (output: string, cell: Cell): Promise<string> => {
  const folder = cellFolder(output, cell)
  return JSON.stringify({ config: await readRunConfig(folder), result: await readRunResult(folder) })
}

const schema = z.strictObject({ config: z.looseObject({}), result: z.looseObject({}) })

/**
 * The result of what `finishedRun` gave. Where the cell's folder has none, the run was made elsewhere: both files are then written into it, so that
 * the next call finds the cell done. @throws Mistake for what is no finished run of this cell; whoever can write to Redis may have written it
 */
export const keepFinishedRun = async (written: unknown, output: string, cell: Cell): Promise<RunResult> => {
  const where = `the result of ${cell.id} in the queue`
  const { config, result } = validate(schema, parseJson(String(written), where), where, 'a finished run')
  const folder = cellFolder(output, cell)
  const there = await cellState(output, cell)
  if (there.kind === 'done') return there.result
  const own = parseRunResult(JSON.stringify({ ...result, output: folder }), where)
  if (own.interrupted) throw inputError(where, 'a finished run', 'one that was interrupted')
  checkIsOf(cell, parseRunConfig(JSON.stringify(config), where), where)
  await makeFolder(folder)
  await writeFileAtomically(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
  await writeFileAtomically(join(folder, 'result.json'), `${JSON.stringify(own, null, 2)}\n`)
  return own
}
