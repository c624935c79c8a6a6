/**
 * Finds models, adapters and datasets: a folder on this disk, a snapshot in the hub's cache, or one that is downloaded into it.
 *
 * Why not by @huggingface/hub, which uploads (studied and tried: 2.17.5): downloadFileToCacheDir accepts wrong bytes, 3 of 40,000 bytes, and twice the bytes,
 * all under the name of the right hash, where Python's tools find them too. It begins an interrupted download anew, and two processes write one file. It
 * waits for a silent server without end, and not for a busy one. It asks paths-info, which plain mirrors lack, also for what is in the cache, so
 * nothing works offline. A wrapper would have to replace the request, the stream, the checks and the file.
 */
import { basename } from 'node:path'
import { z } from 'zod'
import { InputError, inputError, quoted } from '../../errors/inputError.js'
import { nearest } from '../../errors/nearest.js'
import { validate } from '../../errors/validate.js'
import { option, words, type Text } from '../../errors/words.js'
import { writeFileAtomically } from '../../storage/atomicFile.js'
import { makeFolder } from '../../storage/folders.js'
import { parseJson } from '../../storage/json.js'
import { locateCache, isFile, nodeFiles, type Environment } from '../../storage/nodeFiles.js'
import { packageFile } from '../../storage/packages.js'
import { parentFolder, joinPath } from '../../storage/paths.js'
import { decodeUtf8, readText } from '../../storage/text.js'
import { indexLimit, parseShardIndex } from '../safetensors/weightFiles.js'
import { currentCommit, download, fileUrl, statusInWords, threadReport, type DownloadProgress, type Remote } from './hubDownload.js'
import { readEndpoint, isOffline, proxiedFetch, readToken } from './hubEnvironment.js'
import { dismiss, describeFailure, request, shortBody } from './hubRequest.js'
import { isHubId, isPlainPath, isRevision, optionalFiles, parseDatasetAddress, poolingFile, snapshotCommit } from './hubRules.js'

/** How to reach the hub. Every part has a default from the environment. */
export type HubOptions = {
  /** a branch, a tag or a commit (default: main) */
  readonly revision?: string | undefined
  readonly environment?: Environment
  readonly onProgress?: (progress: DownloadProgress) => void
  readonly signal?: AbortSignal
}

/** A folder in Hugging Face layout, and the model's name in other tools. */
type ResolvedModel = {
  readonly folder: string
  readonly baseModelName: string
  /** the commit of the model's repository, or the requested revision if the server gives no commit; null for a folder outside the hub's cache */
  readonly revision: string | null
}

/** The model in this package. Runs record its name, which other installations and later versions resolve to their own folder. */
export const embeddedName = 'embedded'

/** Its folder in this installation. */
export const embeddedModel: string = packageFile('finetuning/embedded/model')

/**
 * `embedded` is the model in this package. An existing folder is used as it is, and a file in GGUF is converted; anything else must be a hub id.
 * Environment variables: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT, and for the cache SALORA_CACHE, HF_HUB_CACHE, HF_HOME,
 * XDG_CACHE_HOME. A revision that is complete in the cache is used without a request. @throws InputError
 */
export const resolveModel = async (model: string, options: HubOptions = {}): Promise<ResolvedModel> => {
  const { revision = 'main', environment = process.env } = options
  if (model === embeddedName) return { folder: embeddedModel, baseModelName: embeddedModel, revision: null } // other tools open a folder
  const kind = (await nodeFiles.stat(model).catch(() => null))?.kind ?? 'nothing'
  if (kind === 'folder') return { folder: model, baseModelName: model, revision: await snapshotCommit(model) }
  if (kind === 'file' && model.endsWith('.gguf')) {
    const { convertedModel } = await import('../gguf/convertModel.js')
    return { folder: await convertedModel(model, locateCache(environment)), baseModelName: model, revision: null }
  }
  if (kind !== 'nothing' || !isHubId(model)) {
    const expected = 'a folder in Hugging Face layout, a hub id like FacebookAI/roberta-base, or embedded'
    throw inputError(words`${option('model')} ${quoted(model)}`, expected, kind === 'nothing' ? 'neither' : 'a file')
  }
  if (!isRevision(revision)) throw inputError(model, 'a revision of letters, digits, ".", "_" and "-"', quoted(revision))
  const repository: Repository = { kind: 'models', id: model, revision, options: { ...options, environment } }
  const cached = await cachedSnapshot(repository)
  if (cached !== null && (await isCompleteModel(cached))) return { folder: cached, baseModelName: model, revision: basename(cached) }
  const noFolder = model.includes('/') ? '' : `, and no folder ${model} here` // a name of one word may have meant a folder
  checkOnline(repository, model, `the model in ${cacheFolder(repository)}`, noFolder)
  const folder = await downloadModel(repository).catch((thrown: unknown) => {
    throw thrown instanceof InputError
      ? inputError(thrown.mistake.where, thrown.mistake.expected, words`${thrown.mistake.got}${noFolder}`)
      : thrown
  })
  return { folder, baseModelName: model, revision: basename(folder) }
}

const isCompleteModel = async (folder: string): Promise<boolean> => {
  const has = (name: string): Promise<boolean> => isFile(joinPath(folder, name))
  if (!(await has('config.json')) || !(await has('tokenizer.json'))) return false
  if (await has('model.safetensors')) return true
  const index = joinPath(folder, 'model.safetensors.index.json')
  const text = await readText(index, indexLimit).catch(() => null)
  return text !== null && (await Promise.all(shardNames(text, index).map(has))).every(Boolean)
}

const shardNames = (index: string, where: string): readonly string[] => [...new Set(Object.values(parseShardIndex(index, where)))]

/** Downloads the files of one commit, weights last, so that a small error shows before a large download. */
const downloadModel = async (repository: Repository): Promise<string> => {
  const remote = toRemote(repository)
  const snapshot = locateSnapshot(repository, remote, await currentCommit(remote, 'config.json'))
  for (const name of ['config.json', 'tokenizer.json'])
    await need(snapshot, name, `${name} in the model's repository`, 'none (no such model or revision?)')
  for (const name of [...optionalFiles, poolingFile]) await get(snapshot, name)
  if (!(await get(snapshot, 'model.safetensors'))) {
    const index = 'model.safetensors.index.json'
    if (!(await get(snapshot, index))) throw noWeights(snapshot, 'model.safetensors', 'weights in safetensors')
    const path = joinPath(snapshot.folder, index)
    for (const shard of shardNames(await readText(path, indexLimit), path))
      await need(snapshot, shard, `${shard} in the model's repository`, 'none (no such model or revision?)')
  }
  return remember(repository, snapshot)
}

const adapterConfig = 'adapter_config.json'

/** PEFT's weights, or those of the adapters library. One of them is needed; what follows describes the head, the classes and added tokens. */
const adapterWeights = ['adapter_model.safetensors', 'adapter.safetensors'] as const
const adapterFiles = ['salora.json', 'head_config.json', 'model_head.safetensors', 'tokenizer.json', ...optionalFiles]

/**
 * The folder of an adapter: a folder of this disk, or the adapter of a hub id. A name that is neither a folder nor OWNER/NAME is returned as it is.
 * Environment variables: those of resolveModel. @throws InputError
 */
export const resolveAdapter = async (adapter: string, options: HubOptions = {}): Promise<string> => {
  const { revision = 'main' } = options
  const isHere = (await nodeFiles.stat(adapter).catch(() => null)) !== null
  if (isHere || !isHubId(adapter) || !adapter.includes('/') || !isRevision(revision)) return adapter
  const repository: Repository = { kind: 'models', id: adapter, revision, options }
  const cached = await cachedSnapshot(repository)
  if (cached !== null && (await isFile(joinPath(cached, adapterConfig))))
    for (const name of adapterWeights) if (await isFile(joinPath(cached, name))) return cached
  const noFolder = `, and no folder ${adapter} here`
  checkOnline(repository, adapter, `the adapter in ${cacheFolder(repository)}`, noFolder)
  const remote = toRemote(repository)
  const snapshot = locateSnapshot(repository, remote, await currentCommit(remote, adapterConfig))
  await need(snapshot, adapterConfig, `an adapter's ${adapterConfig}`, `none (no such repository or revision?)${noFolder}`)
  for (const name of adapterFiles) await get(snapshot, name)
  // weights last, so that a folder with weights is complete
  const [ofPeft, ofAdapters] = adapterWeights
  if (!(await get(snapshot, ofPeft)) && !(await get(snapshot, ofAdapters)))
    throw noWeights(snapshot, ofPeft, "the adapter's weights in safetensors")
  return remember(repository, snapshot)
}

/** The files of a dataset's repository that a task needs. */
export type WantedFiles = {
  /** by the path in the repository, such as `mrpc/train-00000-of-00001.parquet` */
  readonly wants: (path: string) => boolean
  /** whether this folder has all of them */
  readonly isIn: (folder: string) => boolean
}

/**
 * The folder of a dataset's files at one commit. Files in the cache are used without a request; the environment variables are resolveModel's.
 * @param address hf://datasets/OWNER/NAME, optionally with @REVISION
 * @throws InputError
 */
export const resolveDataset = async (address: string, { wants, isIn }: WantedFiles, options: HubOptions = {}): Promise<string> => {
  const parsed = parseDatasetAddress(address)
  if (parsed === null || parsed.path !== null)
    throw inputError(option('data'), 'hf://datasets/OWNER/NAME, perhaps with @REVISION', quoted(address))
  const repository: Repository = { kind: 'datasets', ...parsed, options }
  const cached = await cachedSnapshot(repository)
  if (cached !== null && isIn(cached)) return cached
  checkOnline(repository, address, `its files in ${cacheFolder(repository)}`)
  const remote = toRemote(repository)
  const { commit, paths } = await listFiles(remote)
  const snapshot = locateSnapshot(repository, remote, commit)
  for (const file of paths.filter(wants)) await need(snapshot, file, 'a file that the hub lists', 'none')
  if (!isIn(snapshot.folder)) throw inputError(address, 'the files of this task', 'none, or not all of them')
  return remember(repository, snapshot)
}

/**
 * One file of a dataset in the cache, downloaded if it is not there.
 * @param address hf://datasets/OWNER/NAME/FILE, optionally with @REVISION after NAME; @~parquet is that of the hub's own Parquet files
 * @param named the option that names it, in errors
 * @throws InputError
 */
export const resolveDatasetFile = async (address: string, named: Text, options: HubOptions = {}): Promise<string> => {
  const parsed = parseDatasetAddress(address)
  if (parsed === null) throw inputError(named, 'hf://datasets/OWNER/NAME/FILE, perhaps with @REVISION after NAME', quoted(address))
  const { path } = parsed
  const repository: Repository = { kind: 'datasets', ...parsed, options }
  const cached = await cachedSnapshot(repository)
  if (path !== null && cached !== null && (await isFile(joinPath(cached, path)))) return joinPath(cached, path)
  checkOnline(repository, address, `this file in ${cacheFolder(repository)}`)
  const remote = toRemote(repository)
  if (path === null) throw noDatasetFile(address, path, (await listFiles(remote)).paths)
  const snapshot = locateSnapshot(repository, remote, await currentCommit(remote, path))
  if (!(await get(snapshot, path))) throw noDatasetFile(address, path, (await listFiles(remote)).paths)
  return joinPath(await remember(repository, snapshot), path)
}

/** Names the nearest file, or the first ones that hold rows. */
const noDatasetFile = (address: string, path: string | null, paths: readonly string[]): InputError => {
  const rows = paths.filter((name) => /\.(csv|tsv|jsonl|json|parquet|txt)(\.gz)?$/i.test(name))
  const near = path === null ? null : nearest(path, rows)
  const some = near === null ? rows.slice(0, 3) : [near]
  const remedy = some.length === 0 ? '' : ` (it has ${some.join(', ')}${some.length < rows.length ? ', …' : ''})`
  return inputError(address, 'a file of the dataset', `${path === null ? 'no path in it' : 'none of this name'}${remedy}`)
}

/** Bytes of a repository's file list. */
const listLimit = 16_000_000

const listSchema = z.looseObject({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(z.looseObject({ rfilename: z.string().max(1000) })).max(100_000),
})

const listFiles = async (remote: Remote): Promise<{ readonly commit: string; readonly paths: readonly string[] }> => {
  const url = `${remote.endpoint}/api/${remote.model}/revision/${encodeURIComponent(remote.revision)}`
  const answer = await request(remote, url, 'GET')
  try {
    if (answer.response.status !== 200) throw inputError(url, 'status 200', statusInWords(answer.response, 'dataset or revision'))
    const text = decodeUtf8(await shortBody(answer, url, listLimit), url, 'text')
    const list = validate(listSchema, parseJson(text, url), url, "the hub's list of a dataset's files")
    return { commit: list.sha, paths: list.siblings.map(({ rfilename }) => rfilename).filter(isPlainPath) }
  } catch (thrown) {
    throw thrown instanceof InputError ? thrown : inputError(url, 'the whole of an answer', describeFailure(thrown, remote))
  } finally {
    await dismiss(answer)
  }
}

type Repository = { readonly kind: 'models' | 'datasets'; readonly id: string; readonly revision: string; readonly options: HubOptions }

/** A commit of a repository, and its folder in the cache. */
type Snapshot = { readonly remote: Remote; readonly folder: string; readonly cache: string }

const cacheFolder = ({ kind, id, options }: Repository): string =>
  joinPath(locateCache(options.environment), `${kind}--${id.replace('/', '--')}`)

/** The folder of a revision in the cache, if it may be there: refs/REVISION has the commit, snapshots/COMMIT its files. */
const cachedSnapshot = async (repository: Repository): Promise<string | null> => {
  const { revision } = repository
  const cache = cacheFolder(repository)
  const commit = await readText(joinPath(cache, 'refs', revision), 1_000).then(
    (text) => text.trim(),
    () => revision,
  )
  return isRevision(commit) ? joinPath(cache, 'snapshots', commit) : null
}

const incomplete = 'no complete copy there'

/** @param place what was looked for, and where @throws InputError without a network */
const checkOnline = ({ options }: Repository, name: string, place: string, note = ''): void => {
  if (isOffline(options.environment ?? process.env))
    throw inputError(name, words`${place} (offline, by ${option('offline', true)} or HF_HUB_OFFLINE)`, `${incomplete}${note}`)
}

/** Milliseconds without a byte after which a download times out, unless HF_HUB_DOWNLOAD_TIMEOUT (in seconds) replaces them. */
const defaultTimeout = 30_000

/** A repository of the environment's hub. @throws InputError if a variable is malformed */
const toRemote = ({ kind, id, revision, options }: Repository): Remote => {
  const { environment = process.env, onProgress = threadReport.onProgress, signal } = options
  const token = readToken(environment)
  const seconds = Number(environment['HF_HUB_DOWNLOAD_TIMEOUT'])
  return {
    endpoint: readEndpoint(environment),
    model: kind === 'datasets' ? `datasets/${id}` : id,
    revision,
    timeout: seconds > 0 && seconds < 86_400 ? seconds * 1000 : defaultTimeout,
    fetch: proxiedFetch(environment),
    firstDelay: 1_000,
    onProgress,
    onWait: threadReport.onWait,
    ...(token === undefined ? {} : { token }),
    ...(signal === undefined ? {} : { signal }),
  }
}

/** @param commit undefined: the server gives none, so that the revision takes its place */
const locateSnapshot = (repository: Repository, remote: Remote, commit = repository.revision): Snapshot => {
  const cache = cacheFolder(repository)
  return { remote: { ...remote, revision: commit }, folder: joinPath(cache, 'snapshots', commit), cache }
}

/** Downloads a file. → false if the repository does not have it */
const get = ({ remote, folder, cache }: Snapshot, file: string): Promise<boolean> =>
  download(remote, file, folder, joinPath(cache, 'blobs'))

/** @throws InputError if the repository does not have the file */
const need = async (snapshot: Snapshot, file: string, expected: string, got: string): Promise<void> => {
  if (!(await get(snapshot, file))) throw inputError(fileUrl(snapshot.remote, file), expected, got)
}

const noWeights = ({ remote }: Snapshot, file: string, expected: string): InputError =>
  inputError(fileUrl(remote, file), expected, 'none (pickled weights are not read)')

/** Remembers the commit of a branch, so that its files are found without a request. → the snapshot's folder */
const remember = async ({ revision }: Repository, { remote, folder, cache }: Snapshot): Promise<string> => {
  const ref = joinPath(cache, 'refs', revision)
  if (remote.revision !== revision) {
    await makeFolder(parentFolder(ref))
    await writeFileAtomically(ref, remote.revision)
  }
  return folder
}
