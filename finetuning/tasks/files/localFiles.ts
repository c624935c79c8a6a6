/** Data of the hub as files on this machine: what a task names by hf:// becomes a path in the cache. */
import { isHubAddress } from '../../../accelerated/checkpoints/hub/hubRules.js'
import { resolveDataset, resolveDatasetFile } from '../../../accelerated/checkpoints/hub/hub.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { flagOf } from '../../commandLine/shell.js'
import { mixedFiles } from './mixture.js'
import type { TaskOptions, TaskSource } from '../task.js'

/** Options that name one file each, or the folder of a task's data. */
const named = ['task', 'data', 'evalData', 'testData'] as const

/** The same options with paths of this machine; files that the cache lacks are downloaded. @throws InputError */
export const withLocalFiles = async (source: TaskSource, options: TaskOptions): Promise<TaskOptions> => {
  const local: { -readonly [Name in (typeof named)[number]]?: string } = {}
  for (const name of named) {
    const file = options[name]
    if (file === undefined) continue
    local[name] = name === 'data' ? await localData(source, options.task, file) : await localFile(file, flagOf(name))
  }
  if (options.mixData === undefined) return { ...options, ...local }
  const mixData: string[] = []
  for (const file of mixedFiles(options.mixData)) mixData.push(await localFile(file, '--mix-data'))
  return { ...options, ...local, mixData }
}

/** The file or folder of a task's data. Only GLUE's folder may be a whole dataset of the hub. */
const localData = async ({ hub, isOneFile, help }: TaskSource, task: string, data: string): Promise<string> => {
  if (isOneFile === true || !isHubAddress(data)) return localFile(data, '--data')
  if (hub === undefined) throw inputError('--data', `a file or folder on this machine, for ${help}`, quoted(data))
  return resolveDataset(data, hub(task))
}

/** A path on this machine for a file that may be on the hub. @param flag what names it @throws InputError */
export const localFile = async (file: string, flag: string): Promise<string> => {
  if (isHubAddress(file)) return resolveDatasetFile(file, flag)
  if (!/^https?:\/\//i.test(file)) return file
  const [, dataset, revision, path] =
    /^https:\/\/huggingface\.co\/datasets\/([^/]+\/[^/]+)\/(?:blob|resolve|raw)\/([^/]+)\/([^?#]+)/.exec(file) ?? []
  const remedy =
    dataset === undefined ? 'download it first' : `use hf://datasets/${dataset}${revision === 'main' ? '' : `@${revision}`}/${path}`
  throw inputError(flag, 'a file on this machine, or hf://datasets/OWNER/NAME/FILE', `${quoted(file)} (${remedy})`)
}
