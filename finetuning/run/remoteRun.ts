/**
 * A run as another machine receives it from Redis: model, task and settings, its folder, and the digests of its inputs. It is validated like a
 * file from anyone, since anyone who can write to Redis may have written it.
 */
import { createHash } from 'node:crypto'
import { lstat, realpath } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { z } from 'zod'
import { inputError } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { differing, without } from '../../accelerated/checkpoints/fingerprint.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { TaskOptions } from '../tasks/index.js'
import type { RunOptions } from './run.js'
import { inputsSchema, taskSchema } from './runFiles.js'
import type { RunInputs } from './runFingerprint.js'
import { versions } from './versions.js'

const text = z.string().min(1).max(10_000)

/** The options of a run that decide its numbers. */
export const remoteOptionsSchema = z.strictObject({
  model: text,
  task: taskSchema,
  settings: z.record(z.string().max(100), z.unknown()),
})

export type RemoteOptions = Pick<RunOptions, 'model' | 'task' | 'settings'>

/** @throws InputError for a task without a name; SettingsError for settings that are invalid */
export const parseRemoteOptions = ({ model, task, settings }: z.infer<typeof remoteOptionsSchema>, where: string): RemoteOptions => {
  if (typeof task['task'] !== 'string') throw inputError(where, 'a task whose name is a text', 'none')
  return { model, task: task as object as TaskOptions, settings: resolveSettings(settings as SettingsInput) }
}

/** The versions that decide a part's numbers. */
const decisiveVersions = without(['node'], versions)

/** @throws InputError for a run of another version of salora */
export const checkVersion = (version: string, where: string): void => {
  if (version !== versions['salora'])
    throw inputError(
      where,
      `one of salora ${versions['salora']}, which this worker has`,
      `one of salora ${version} (start both with the same version)`,
    )
}

/** What workers of a run need to join it. */
export const remoteRunSchema = z.strictObject({
  version: z.string().max(100),
  versions: z.record(z.string().max(100), z.string().max(100)),
  output: text,
  options: remoteOptionsSchema,
  inputs: inputsSchema,
  device: z.string().max(100),
  revision: z.string().max(201).nullable(),
  /** the public key of the leader, new in each process: it signs what it publishes */
  key: z.string().max(200),
})
export type RemoteRun = z.infer<typeof remoteRunSchema>

/**
 * @param inputs the digests of the run's inputs; those of an adapter that it starts from do not matter to parts
 * @param leader.revision the model's commit on the hub, which workers open too; null: it is a folder
 */
export const describeRemoteRun = (
  { output, model, task, settings }: Pick<RunOptions, 'output' | 'model' | 'task' | 'settings'>,
  { inputs, ...leader }: { readonly inputs: RunInputs } & Pick<RemoteRun, 'device' | 'revision' | 'key'>,
): RemoteRun => ({
  version: versions['salora'] ?? '',
  versions: decisiveVersions as RemoteRun['versions'],
  output: resolve(output),
  options: { model, task: task as object as RemoteRun['options']['task'], settings: { ...settings, evalFolds: 0 } }, // the leader holds rows out, and workers must read the same
  inputs: ofParts(inputs),
  ...leader,
})

const ofParts = (inputs: RunInputs): RunInputs =>
  Object.fromEntries(Object.entries(inputs).filter(([name]) => !name.startsWith("the adapter's ")))

/** @throws InputError for a run of other versions, or whose folder is outside `root` */
export const checkRemoteRun = async (run: RemoteRun, root: string | null, where: string): Promise<void> => {
  checkVersion(run.version, where)
  const [difference] = differing(run.versions, decisiveVersions)
  if (difference !== undefined) throw inputError(where, 'one of the versions that this worker has', difference)
  if (root !== null) await checkWithin(root, run.output)
}

/** @throws InputError if the inputs or the device on this machine are not those of the run */
export const checkRemoteInputs = (run: RemoteRun, found: { readonly inputs: RunInputs; readonly device: string }, where: string): void => {
  const [difference] = differing(run.inputs, ofParts(found.inputs))
  if (difference !== undefined) throw inputError(where, 'the model and the data of this machine', difference)
  if (run.device !== found.device) throw inputError(where, `one on ${found.device}, the device of this machine`, `one on ${run.device}`)
}

/** The run's place in Redis, its folder on this machine: the same each time that it starts or resumes. */
export const remoteRunPlace = (run: RemoteRun, host: string): string =>
  createHash('sha256')
    .update(JSON.stringify([host, run.output]))
    .digest('hex')
    .slice(0, 16)

/** @throws InputError if the job's folder is outside `root`, in its path or behind the links that the path follows */
export const checkWithin = async (root: string, output: string): Promise<void> => {
  const path = relative(await pathBehindLinks(resolve(root)), await pathBehindLinks(resolve(output)))
  if (isAbsolute(path) || path === '..' || path.startsWith(`..${sep}`))
    throw inputError(words`${option('root')} ${resolve(root)}`, 'jobs whose folder is inside it', `a job for ${output}`)
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
