/** The hub's rules, for Node and browsers alike: names and addresses, the files of a model, paths in the cache, and which answers may pass. */
import { InputError } from '../../errors/inputError.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { parentFolder, baseName } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'

/** OWNER/NAME or NAME, as the hub allows: letters, digits, `-`, `_` and `.`, without `--` or `..`, and without `-` or `.` at either end. */
export const isHubId = (name: string): boolean =>
  name.split('/').length <= 2 &&
  name.split('/').every((part) => /^\w([\w.-]{0,94}\w)?$/.test(part)) &&
  !name.includes('--') &&
  !name.includes('..')

export const isRevision = (name: string): boolean => /^\w[\w.-]{0,200}$/.test(name) && !name.includes('..')

/**
 * Files beside config.json, tokenizer.json and the weights. They are read where a model of the hub has them. Newer models have their chat template
 * only in the third, and the token that ends a turn only in the fourth.
 */
export const optionalFiles = ['tokenizer_config.json', 'special_tokens_map.json', 'chat_template.jinja', 'generation_config.json'] as const

/** How sentence-transformers pools the tokens of a text, in a folder of its own. */
export const poolingFile = '1_Pooling/config.json'

/** A dataset, or one file of it. Addresses are as DuckDB and Polars have them: hf://datasets/OWNER/NAME@REVISION/FILE. */
export type DatasetAddress = {
  readonly id: string
  readonly revision: string
  /** the file's path in the repository; null: the whole dataset */
  readonly path: string | null
}

/** The branch with the hub's own Parquet files of a dataset, and its short name. */
const converted = { name: '~parquet', revision: 'refs/convert/parquet' }

export const isHubAddress = (data: string): boolean => data.startsWith('hf://')

/** null: the text is no address of a dataset */
export const parseDatasetAddress = (address: string): DatasetAddress | null => {
  const [, id = '', named = 'main', path = null] = /^hf:\/\/datasets\/([^/@]+\/[^/@]+)(?:@([^/@]+))?(?:\/(.+))?$/.exec(address) ?? []
  const isConverted = [converted.name, encodeURIComponent(converted.revision)].includes(named)
  if (!isHubId(id) || !(isConverted || isRevision(named)) || (path !== null && !isPlainPath(path))) return null
  return { id, revision: isConverted ? converted.revision : named, path }
}

/** A path that stays in its folder: letters, digits, "-", "_", "+", "=" and "." between slashes, and no name that begins with a dot. */
export const isPlainPath = (path: string): boolean => path.split('/').every((part) => /^\w[\w.+=-]*$/.test(part))

/**
 * The hub id of a snapshot's model, from its path in the cache: …/models--OWNER--NAME/snapshots/REVISION; undefined for any other folder.
 * @throws InputError if the folder is missing
 */
export const findHubId = async (folder: string, storage: Storage = nodeFiles): Promise<string | undefined> => {
  const snapshots = parentFolder(await storage.realPath(folder))
  const model = baseName(parentFolder(snapshots))
  const isSnapshot = baseName(snapshots) === 'snapshots' && model.startsWith('models--')
  return isSnapshot ? model.slice('models--'.length).replaceAll('--', '/') : undefined
}

/** The commit of a snapshot; null for any other folder. @throws InputError if the folder is missing */
export const snapshotCommit = async (folder: string, storage: Storage = nodeFiles): Promise<string | null> => {
  const path = await storage.realPath(folder)
  return baseName(parentFolder(path)) === 'snapshots' && /^[0-9a-f]{40}$/.test(baseName(path)) ? baseName(path) : null
}

const attempts = 5

/** Seconds that a server may ask to wait; beyond it, its answer is final. */
const longestWait = 300

const passing: readonly number[] = [408, 429, 500, 502, 503, 504]

/** Seconds before the next attempt; null if the answer is final. @param firstDelay milliseconds, doubled before each further retry */
export const waitBefore = (answer: Response | InputError, attempt: number, firstDelay: number): number | null => {
  const seconds = Math.max(requestedWait(answer), (firstDelay * 2 ** (attempt - 1)) / 1000)
  const mayPass = answer instanceof InputError || passing.includes(answer.status)
  return mayPass && attempt < attempts && seconds <= longestWait ? seconds : null
}

/** Seconds by Retry-After, or by the hub's RateLimit (`"api";r=0;t=55`); 0 without either. */
const requestedWait = (answer: Response | InputError): number => {
  if (answer instanceof InputError || answer.status < 400) return 0
  const after = answer.headers.get('retry-after') ?? /\bt=(\d{1,9})/.exec(answer.headers.get('ratelimit') ?? '')?.[1] ?? ''
  const date = Date.parse(after)
  return /^\d{1,9}$/.test(after) ? Number(after) : Number.isNaN(date) ? 0 : Math.max(0, (date - Date.now()) / 1000)
}
