/** A cell as a job of the queue, and what is read back of one: whoever can write to Redis wrote it, so it is checked like a file from anybody. */
import { createHash } from 'node:crypto'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { resolveSettings, type SettingsInput } from '../../accelerated/training/settings.js'
import { GLUE_NAMES } from '../../finetuning/data/glueTasks.js'
import type { Cell } from './cell.js'

/** Of all sweeps: workers take whatever is there. */
export const queueName = 'salora-sweeps'

export type CellJob = { readonly cell: Cell; readonly output: string }

const text = z.string().min(1).max(10_000)
const schema = z.strictObject({
  output: text,
  cell: z.strictObject({
    // a folder's name and no path
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

/** @throws Mistake, or SettingsError for settings that cannot be */
export const parseCellJob = (data: unknown): CellJob => {
  const { cell, output } = validate(schema, data, 'a job of the queue', 'a cell of a sweep')
  return {
    output,
    cell: { ...cell, options: { ...cell.options, settings: resolveSettings(cell.options.settings as SettingsInput) } } as Cell,
  }
}

/** The same cell of the same folder is one job, whoever queues it. */
export const jobIdOf = ({ cell, output }: CellJob): string =>
  createHash('sha256')
    .update(JSON.stringify([output, cell.id]))
    .digest('hex')

/** @throws Mistake where the job would be done outside of the worker's folder */
export const checkWithin = (root: string, output: string): void => {
  const path = relative(resolve(root), resolve(output))
  if (isAbsolute(path) || path === '..' || path.startsWith(`..${sep}`))
    throw inputError(`--root ${root}`, 'jobs whose folder lies in it', `one for ${output}`)
}

/** Of a sweep whose folder is elsewhere, within a worker's own: the same one for the same sweep. */
export const ownFolder = (own: string, output: string): string =>
  join(resolve(own), createHash('sha256').update(output).digest('hex').slice(0, 16))
