/** A cell as a job of the queue. A job is validated like a file from anyone, since anyone who can write to Redis may have written it. */
import { createHash } from 'node:crypto'
import { lstat, realpath } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { z } from 'zod'
import { validate } from '../../accelerated/errors/validate.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { resolveSettings } from '../../accelerated/training/settings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { TaskOptions } from '../../finetuning/tasks/index.js'
import { inputsSchema, taskSchema } from '../../finetuning/runs/runFiles.js'
import { versions } from '../../finetuning/runs/versions.js'
import type { RunCell } from './cell.js'

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
    options: z.strictObject({
      model: text,
      task: taskSchema,
      settings: z.record(z.string().max(100), z.unknown()),
    }),
  }),
})

/** What the queue holds of a cell: only what its run needs. */
export const jobDataOf = ({ cell: { id, options, inputs }, output }: CellJob): object => ({
  version: versions['salora'],
  output,
  cell: { id, options, ...(inputs === undefined ? {} : { inputs }) },
})

/** @throws InputError if `data` is no cell, or one of another version of salora; SettingsError if its settings are invalid */
export const parseCellJob = (data: unknown): CellJob => {
  const where = 'a job of the queue'
  const { cell, output, version } = validate(schema, data, where, 'a cell of a sweep')
  if (version !== versions['salora'])
    throw inputError(
      where,
      `one of salora ${versions['salora']}, which this worker has`,
      `one of salora ${version} (start both with the same version)`,
    )
  const { id, inputs, options } = cell
  if (typeof options.task['task'] !== 'string') throw inputError(where, 'a cell of a sweep whose task is a text', 'none')
  return {
    output,
    cell: {
      ...{ id, ...(inputs === undefined ? {} : { inputs }) },
      options: {
        model: options.model,
        task: options.task as object as TaskOptions,
        settings: resolveSettings(options.settings as SettingsInput),
      },
    },
  }
}

/** The same id each time that the same cell of the same folder is queued. */
export const jobIdOf = ({ cell, output }: CellJob): string =>
  createHash('sha256')
    .update(JSON.stringify([output, cell.id]))
    .digest('hex')

/** @throws InputError if the job's folder is outside `root`, in its path or behind the links that the path follows */
export const checkWithin = async (root: string, output: string): Promise<void> => {
  const path = relative(await pathBehindLinks(resolve(root)), await pathBehindLinks(resolve(output)))
  if (isAbsolute(path) || path === '..' || path.startsWith(`..${sep}`))
    throw inputError(`--root ${root}`, 'jobs whose folder is inside it', `a job for ${output}`)
}

/** The path with the links of its deepest existing folder followed; the rest of it does not exist yet. A link that leads nowhere exists. */
const pathBehindLinks = async (path: string): Promise<string> => {
  const isThere = await lstat(path).then(
    () => true,
    () => false,
  )
  if (isThere) return realpath(path)
  return dirname(path) === path ? path : join(await pathBehindLinks(dirname(path)), basename(path))
}

/** The folder within `localRoot` for a sweep's folder on another machine: the same one each time. */
export const localFolder = (localRoot: string, output: string): string =>
  join(resolve(localRoot), createHash('sha256').update(output).digest('hex').slice(0, 16))
