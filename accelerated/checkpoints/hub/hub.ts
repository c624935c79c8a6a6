/**
 * Finds the folder of a model: a folder on this disk, a snapshot in the hub's cache, or one that is downloaded into that cache.
 *
 * Why not @huggingface/hub (studied: 2.17.5): its downloadFileToCacheDir restarts every interrupted download, and two processes write the same
 * .incomplete file. It compares neither length nor digest, bounds no size, and follows any redirect. It has no stall timeout and no AbortSignal.
 * It needs the hub's POST endpoint paths-info, which plain mirrors lack, and a request even for a cached branch, so nothing works offline.
 * A wrapper would have to replace the request, the stream, the checks and the file: all but the URL and three header names.
 * Uploads use it (hubUpload.ts): there it knows protocols that are worth more than these checks.
 */
import { basename } from 'node:path'
import { writeFileAtomically } from '../../storage/atomicFile.js'
import { makeFolder as makeFolderAt } from '../../storage/folders.js'
import { nodeFiles, isFile } from '../../storage/nodeFiles.js'
import { joinPath } from '../../storage/paths.js'
import { InputError, inputError, quoted } from '../../errors/inputError.js'
import { systemInputError } from '../../errors/systemError.js'
import { embeddedModel, embeddedName } from './embeddedModel.js'
import { reportDownload, reportWait } from './downloadProgress.js'
import { commitOfSnapshot } from './snapshot.js'
import { commitOf, download, fileUrl, type DownloadProgress, type Remote } from './hubDownload.js'
import { isHubId, isRevision } from './hubId.js'
import { proxiedFetch } from './proxiedFetch.js'
import { optionalFiles } from './optionalFiles.js'
import { cacheOf, endpointOf, type Environment, isOffline, tokenOf } from './hubEnvironment.js'
import { readText } from '../../storage/text.js'
import { indexLimit, parseShardIndex } from '../safetensors/weightFiles.js'

/** How to reach the hub. Every part has a default from the environment. */
export type HubOptions = {
  /** a branch, a tag or a commit (default: main) */
  readonly revision?: string
  readonly environment?: Environment
  readonly onProgress?: (progress: DownloadProgress) => void
  readonly signal?: AbortSignal
}

/** A folder in Hugging Face layout, and the model's name in other tools. */
export type ResolvedModel = {
  readonly folder: string
  readonly baseModelName: string
  /** the commit of the model's repository, or the requested revision if the server gives no commit; null for a folder outside the hub's cache */
  readonly revision: string | null
}

/** Milliseconds without a byte after which a download times out, unless HF_HUB_DOWNLOAD_TIMEOUT (in seconds) replaces them. */
const defaultTimeout = 30_000

/**
 * `embedded` is the model in this package. An existing folder is used as it is, and a file in GGUF is converted; anything else must be a hub id.
 * Environment variables: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HF_HUB_DOWNLOAD_TIMEOUT, and for the cache SALORA_CACHE, HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME.
 * A revision that is complete in the cache is used without a request. @throws InputError
 */
export const resolveModel = async (model: string, options: HubOptions = {}): Promise<ResolvedModel> => {
  const { revision = 'main', environment = process.env } = options
  if (model === embeddedName) return { folder: embeddedModel, baseModelName: embeddedModel, revision: null } // other tools open a folder
  const kind = (await nodeFiles.stat(model).catch(() => null))?.kind ?? 'nothing'
  if (kind === 'folder') return { folder: model, baseModelName: model, revision: await commitOfSnapshot(model) }
  if (kind === 'file' && model.endsWith('.gguf')) {
    const { convertedModel } = await import('../gguf/convertModel.js')
    return { folder: await convertedModel(model, cacheOf(environment)), baseModelName: model, revision: null }
  }
  if (kind !== 'nothing' || !isHubId(model)) {
    throw inputError(
      `--model ${quoted(model)}`,
      'a folder in Hugging Face layout, a hub id like FacebookAI/roberta-base, or embedded',
      kind === 'nothing' ? 'neither' : 'a file',
    )
  }
  if (!isRevision(revision)) throw inputError(model, 'a revision of letters, digits, ".", "_" and "-"', quoted(revision))
  const cache = joinPath(cacheOf(environment), `models--${model.replace('/', '--')}`)
  const cached = await cachedSnapshot(cache, revision)
  if (cached !== undefined) return { folder: cached, baseModelName: model, revision: basename(cached) }
  const noFolder = model.includes('/') ? '' : `, and no folder ${model} here` // a name of one word may have meant a folder
  if (isOffline(environment)) {
    throw inputError(model, `the model in ${cache} (offline, by --offline or HF_HUB_OFFLINE)`, `no complete copy there${noFolder}`)
  }
  const folder = await downloadSnapshot(model, revision, cache, { ...options, environment }).catch((thrown: unknown) => {
    throw thrown instanceof InputError ? inputError(thrown.where, thrown.expected, `${thrown.got}${noFolder}`) : thrown
  })
  return { folder, baseModelName: model, revision: basename(folder) }
}

/** The folder of a revision if it is complete: refs/REVISION has the commit, snapshots/COMMIT its files. */
const cachedSnapshot = async (cache: string, revision: string): Promise<string | undefined> => {
  const commit = await readText(joinPath(cache, 'refs', revision), 1_000).then(
    (text) => text.trim(),
    () => revision,
  )
  if (!isRevision(commit)) return undefined
  const folder = joinPath(cache, 'snapshots', commit)
  const has = (name: string) => isFile(joinPath(folder, name))
  const complete =
    (await has('config.json')) && (await has('tokenizer.json')) && ((await has('model.safetensors')) || (await hasAllShards(folder, has)))
  return complete ? folder : undefined
}

const hasAllShards = async (folder: string, has: (name: string) => Promise<boolean>): Promise<boolean> => {
  const index = joinPath(folder, 'model.safetensors.index.json')
  const text = await readText(index, indexLimit).catch(() => undefined)
  if (text === undefined) return false
  return (await Promise.all(shardsOf(text, index).map(has))).every(Boolean)
}

const shardsOf = (index: string, where: string): ReadonlyArray<string> => [...new Set(Object.values(parseShardIndex(index, where)))]

/** A repository of the environment's hub. @throws InputError if a variable is malformed */
export const remoteOf = (repository: string, revision: string, { environment = process.env, onProgress, signal }: HubOptions): Remote => {
  const token = tokenOf(environment)
  const seconds = Number(environment['HF_HUB_DOWNLOAD_TIMEOUT'])
  return {
    endpoint: endpointOf(environment),
    model: repository,
    revision,
    timeout: seconds > 0 && seconds < 86_400 ? seconds * 1000 : defaultTimeout,
    fetch: proxiedFetch(environment),
    firstDelay: 1_000,
    onProgress: onProgress ?? reportDownload,
    onWait: reportWait,
    ...(token === undefined ? {} : { token }),
    ...(signal === undefined ? {} : { signal }),
  }
}

/** Downloads the files of one commit, weights last, so that a small error shows before a large download. */
const downloadSnapshot = async (model: string, revision: string, cache: string, options: HubOptions): Promise<string> => {
  const remote = remoteOf(model, revision, options)
  const commit = (await commitOf(remote)) ?? revision
  const pinned = { ...remote, revision: commit }
  const folder = joinPath(cache, 'snapshots', commit)
  await makeFolder(folder)
  const get = (name: string) => download(pinned, name, joinPath(folder, name), joinPath(cache, 'blobs'))
  const need = async (name: string) => {
    if (!(await get(name)))
      throw inputError(fileUrl(pinned, name), `${name} in the model's repository`, 'none (no such model or revision?)')
  }
  await need('config.json')
  await need('tokenizer.json')
  for (const name of optionalFiles) await get(name)
  if (!(await get('model.safetensors'))) {
    if (!(await get('model.safetensors.index.json'))) {
      throw inputError(fileUrl(pinned, 'model.safetensors'), 'weights in safetensors', 'none (pickled weights are not read)')
    }
    const index = joinPath(folder, 'model.safetensors.index.json')
    for (const shard of shardsOf(await readText(index, indexLimit), index)) await need(shard)
  }
  if (commit !== revision) {
    await makeFolder(joinPath(cache, 'refs'))
    await writeFileAtomically(joinPath(cache, 'refs', revision), commit)
  }
  return folder
}

const makeFolder = async (folder: string): Promise<void> => {
  await makeFolderAt(folder).catch((thrown: unknown) => {
    throw systemInputError(folder, 'to create the cache folder', thrown)
  })
}
