/** Data of the hub as files on this machine: what a task names by hf:// becomes a path in the cache. */
import { isHubAddress } from '../../../accelerated/checkpoints/hub/hubRules.js'
import { resolveDataset, resolveDatasetFile } from '../../../accelerated/checkpoints/hub/hub.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, type Words } from '../../../accelerated/errors/words.js'
import { mixedFiles } from './mixture.js'
import type { TaskOptions, TaskSource } from '../task.js'

/** Options that name one file each, or the folder of a task's data. */
const fileOptions = ['task', 'data', 'evalData', 'testData'] as const

/** The same options with paths of this machine; files that the cache lacks are downloaded. @throws InputError */
export const withLocalFiles = async (source: TaskSource, options: TaskOptions): Promise<TaskOptions> => {
  const local: { -readonly [Name in (typeof fileOptions)[number]]?: string } = {}
  for (const name of fileOptions) {
    const file = options[name]
    if (file === undefined) continue
    local[name] = name === 'data' ? await localData(source, options.task, file) : await localFile(file, option(name))
  }
  if (options.mixData === undefined) return { ...options, ...local }
  const mixData: string[] = []
  for (const file of mixedFiles(options.mixData)) mixData.push(await localFile(file, option('mixData')))
  return { ...options, ...local, mixData }
}

/** The file or folder of a task's data. Only GLUE's folder may be a whole dataset of the hub. */
const localData = async ({ hub, isOneFile, help }: TaskSource, task: string, data: string): Promise<string> => {
  if (isOneFile === true || !isHubAddress(data)) return localFile(data, option('data'))
  if (hub === undefined) throw inputError(option('data'), `a file or folder on this machine, for ${help}`, quoted(data))
  return resolveDataset(data, hub(task))
}

/** A path on this machine for a file that may be on the hub. @param named the option that names it @throws InputError */
export const localFile = async (file: string, named: Words): Promise<string> => {
  if (isHubAddress(file)) return resolveDatasetFile(file, named)
  if (!/^https?:\/\//i.test(file)) return file
  const [, dataset, revision, path] =
    /^https:\/\/huggingface\.co\/datasets\/([^/]+\/[^/]+)\/(?:blob|resolve|raw)\/([^/]+)\/([^?#]+)/.exec(file) ?? []
  const remedy =
    dataset === undefined ? 'download it first' : `use hf://datasets/${dataset}${revision === 'main' ? '' : `@${revision}`}/${path}`
  throw inputError(named, 'a file on this machine, or hf://datasets/OWNER/NAME/FILE', `${quoted(file)} (${remedy})`)
}
