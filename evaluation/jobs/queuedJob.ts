/** A cell as a job of the queue. A job is validated like a file from anyone, since anyone who can write to Redis may have written it. */
import { createHash } from 'node:crypto'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { checkVersion, parseRemoteOptions, remoteOptionsSchema } from '../../finetuning/run/remoteRun.js'
import { inputsSchema } from '../../finetuning/run/runFiles.js'
import { versions } from '../../finetuning/run/versions.js'
import type { RunCell } from './jobFolder.js'

/** One queue for all sweeps and searches of a version of salora. Another version may train other numbers. */
export const queueName = `salora-sweeps-${versions['salora']}`

export type CellJob = { readonly cell: RunCell; readonly output: string }

const text = z.string().min(1).max(10_000)
const schema = z.strictObject({
  /** of salora, once more: anyone who writes a job chooses its queue */
  version: z.string().max(100),
  output: text,
  cell: z.strictObject({
    // the name of a folder, without a path
    id: z
      .string()
      .max(200)
      .regex(/^[\p{L}\p{N}_][\p{L}\p{N}_.=-]*$/u),
    inputs: inputsSchema.optional(),
    options: remoteOptionsSchema,
  }),
})

/** What the queue holds of a cell: only what its run needs. */
export const toJobData = ({ cell: { id, options, inputs }, output }: CellJob): object => ({
  version: versions['salora'],
  output,
  cell: { id, options, ...(inputs === undefined ? {} : { inputs }) },
})

/** @throws InputError if `data` is no cell, or one of another version of salora; SettingsError if its settings are invalid */
export const parseCellJob = (data: unknown): CellJob => {
  const where = 'a job of the queue'
  const { cell, output, version } = validate(schema, data, where, 'a cell of a sweep')
  checkVersion(version, where)
  const { id, inputs, options } = cell
  return { output, cell: { id, ...(inputs === undefined ? {} : { inputs }), options: parseRemoteOptions(options, where) } }
}

/** The same id each time that the same cell of the same folder is queued. */
export const hashJobId = ({ cell, output }: CellJob): string =>
  createHash('sha256')
    .update(JSON.stringify([output, cell.id]))
    .digest('hex')

/** The folder within `localRoot` for a sweep's folder on another machine: the same one each time. */
export const localFolder = (localRoot: string, output: string): string =>
  join(resolve(localRoot), createHash('sha256').update(output).digest('hex').slice(0, 16))
