/** Data of the hub as files on this machine: what a task names by hf:// becomes a path in the cache. */
import { isHubAddress } from '../../accelerated/checkpoints/hub/datasetAddress.js'
import { resolveDataset, resolveDatasetFile } from '../../accelerated/checkpoints/hub/hubDataset.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { mixedFiles } from './sources/mixture.js'
import type { TaskOptions, TaskSource } from './task.js'

/** The same options with paths of this machine; files that the cache lacks are downloaded. @throws InputError */
export const withLocalFiles = async ({ hub, isOneFile, help }: TaskSource, options: TaskOptions): Promise<TaskOptions> => {
  const { task, data, evalData, testData, mixData } = options
  const ofTask = await localFile(task, '--task')
  const isFolder = data !== undefined && isHubAddress(data) && isOneFile !== true
  if (isFolder && hub === undefined) throw inputError('--data', `a file or folder on this machine, for ${help}`, quoted(data))
  const ofData = isFolder && hub !== undefined ? await resolveDataset(data, hub(task)) : await optional(data, '--data')
  const ofEvaluation = await optional(evalData, '--eval-data')
  const ofTest = await optional(testData, '--test-data')
  const mixed: string[] = []
  for (const file of mixedFiles(mixData)) mixed.push(await localFile(file, '--mix-data'))
  return {
    ...options,
    task: ofTask,
    ...(ofData === undefined ? {} : { data: ofData }),
    ...(ofEvaluation === undefined ? {} : { evalData: ofEvaluation }),
    ...(ofTest === undefined ? {} : { testData: ofTest }),
    ...(mixData === undefined ? {} : { mixData: mixed }),
  }
}

const optional = async (file: string | undefined, flag: string): Promise<string | undefined> =>
  file === undefined ? undefined : localFile(file, flag)

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
