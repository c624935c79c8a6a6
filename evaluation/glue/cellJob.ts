/** A cell as a job of the queue. A job is validated like a file from anyone, since anyone who can write to Redis may have written it. */
import { createHash } from 'node:crypto'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { resolveSettings } from '../../accelerated/training/settings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { GLUE_NAMES } from '../../finetuning/data/glueTasks.js'
import type { Cell } from './cell.js'

/** One queue for all sweeps: workers take any job. */
export const queueName = 'salora-sweeps'

export type CellJob = { readonly cell: Cell; readonly output: string }

const text = z.string().min(1).max(10_000)
const schema = z.strictObject({
  output: text,
  cell: z.strictObject({
    // the name of a folder, without a path
    id: z
      .string()
      .max(200)
      .regex(/^[\p{L}\p{N}_][\p{L}\p{N}_.=-]*$/u),
    row: text,
    task: z.enum(GLUE_NAMES as [string, ...string[]]),
    seed: z.int().min(0),
    options: z.strictObject({
      model: text,
      task: z.strictObject({
        task: text,
        data: text,
        maxTrainSamples: text.optional(),
        holdOutTrain: z.boolean().optional(),
      }),
      settings: z.record(z.string().max(100), z.unknown()),
    }),
  }),
})

/** @throws InputError if `data` is no cell; SettingsError if its settings are invalid */
export const parseCellJob = (data: unknown): CellJob => {
  const { cell, output } = validate(schema, data, 'a job of the queue', 'a cell of a sweep')
  return {
    output,
    cell: { ...cell, options: { ...cell.options, settings: resolveSettings(cell.options.settings as SettingsInput) } } as Cell,
  }
}

/** The same id each time that the same cell of the same folder is queued. */
export const jobIdOf = ({ cell, output }: CellJob): string =>
  createHash('sha256')
    .update(JSON.stringify([output, cell.id]))
    .digest('hex')

/** @throws InputError if the job's folder is outside `root` */
export const checkWithin = (root: string, output: string): void => {
  const path = relative(resolve(root), resolve(output))
  if (isAbsolute(path) || path === '..' || path.startsWith(`..${sep}`))
    throw inputError(`--root ${root}`, 'jobs whose folder is inside it', `a job for ${output}`)
}

/** The folder within `localRoot` for a sweep's folder on another machine: the same one each time. */
export const localFolder = (localRoot: string, output: string): string =>
  join(resolve(localRoot), createHash('sha256').update(output).digest('hex').slice(0, 16))
