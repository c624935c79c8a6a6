/** Datasets of the hub, from the cache or downloaded into it: the files of `hf://datasets/OWNER/NAME` that a task needs, or one file by its path. */
import { z } from 'zod'
import { writeFileAtomically } from '../../storage/atomicFile.js'
import { validate } from '../../errors/validate.js'
import { nearest } from '../../errors/nearest.js'
import { parseJson } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { makeFolder } from '../../storage/folders.js'
import { isFile } from '../../storage/nodeFiles.js'
import { InputError, inputError, quoted } from '../../errors/inputError.js'
import { systemInputError } from '../../errors/systemError.js'
import { folderOf, joinPath } from '../../storage/paths.js'
import { remoteOf, type HubOptions } from './hub.js'
import { isPlainPath, parseDatasetAddress } from './datasetAddress.js'
import { isRevision } from './hubId.js'
import { request, dismiss, reasonOf } from './hubResponse.js'
import { cacheOf, isOffline, type Environment } from './hubEnvironment.js'
import { commitOf, download, fileUrl, statusInWords, type Remote } from './hubDownload.js'

/** The files of a repository that a task needs. */
export type WantedFiles = {
  /** by the path in the repository, such as `mrpc/train-00000-of-00001.parquet` */
  readonly wants: (path: string) => boolean
  /** whether this folder has all of them */
  readonly isIn: (folder: string) => boolean
}

const cacheOfDataset = (id: string, environment: Environment): string =>
  joinPath(cacheOf(environment), `datasets--${id.replace('/', '--')}`)

/** The folder in the cache of the commit that a revision stood for when it was downloaded. */
const cachedSnapshot = async (cache: string, revision: string): Promise<string | null> => {
  const commit = await readText(joinPath(cache, 'refs', revision), 1_000).then(
    (text) => text.trim(),
    () => revision,
  )
  return isRevision(commit) ? joinPath(cache, 'snapshots', commit) : null
}

const offlineError = (address: string, files: string, cache: string): InputError =>
  inputError(address, `${files} in ${cache} (offline, by --offline or HF_HUB_OFFLINE)`, 'no complete copy there')

/**
 * The folder of a dataset's files at one commit. Files in the cache are used without a request; the environment variables are resolveModel's.
 * @param address hf://datasets/OWNER/NAME, optionally with @REVISION
 * @throws InputError
 */
export const resolveDataset = async (address: string, { wants, isIn }: WantedFiles, options: HubOptions = {}): Promise<string> => {
  const { environment = process.env } = options
  const found = parseDatasetAddress(address)
  if (found === null || found.path !== null) throw inputError('--data', 'hf://datasets/OWNER/NAME, perhaps with @REVISION', quoted(address))
  const { id, revision } = found
  const cache = cacheOfDataset(id, environment)
  const cached = await cachedSnapshot(cache, revision)
  if (cached !== null && isIn(cached)) return cached
  if (isOffline(environment)) throw offlineError(address, 'its files', cache)
  const remote = remoteOf(`datasets/${id}`, revision, { ...options, environment })
  const { commit, paths } = await listOf(remote)
  const folder = joinPath(cache, 'snapshots', commit)
  const pinned = { ...remote, revision: commit }
  for (const file of paths.filter(wants))
    if (!(await fetchFile(pinned, file, folder, cache))) throw inputError(fileUrl(pinned, file), 'a file that the hub lists', 'none')
  if (!isIn(folder)) throw inputError(address, 'the files of this task', 'none, or not all of them')
  await keepRevision(cache, revision, commit)
  return folder
}

/**
 * One file of a dataset in the cache, downloaded if it is not there.
 * @param address hf://datasets/OWNER/NAME/FILE, optionally with @REVISION after NAME; @~parquet is that of the hub's own Parquet files
 * @param flag what the user typed it for, in errors
 * @throws InputError
 */
export const resolveDatasetFile = async (address: string, flag: string, options: HubOptions = {}): Promise<string> => {
  const { environment = process.env } = options
  const found = parseDatasetAddress(address)
  if (found === null) throw inputError(flag, 'hf://datasets/OWNER/NAME/FILE, perhaps with @REVISION after NAME', quoted(address))
  const { id, revision, path } = found
  const cache = cacheOfDataset(id, environment)
  const cached = await cachedSnapshot(cache, revision)
  if (path !== null && cached !== null && (await isFile(joinPath(cached, path)))) return joinPath(cached, path)
  if (isOffline(environment)) throw offlineError(address, 'this file', cache)
  const remote = remoteOf(`datasets/${id}`, revision, { ...options, environment })
  if (path === null) throw fileError(address, path, (await listOf(remote)).paths)
  const commit = (await commitOf(remote, path)) ?? revision
  const folder = joinPath(cache, 'snapshots', commit)
  if (!(await fetchFile({ ...remote, revision: commit }, path, folder, cache))) throw fileError(address, path, (await listOf(remote)).paths)
  await keepRevision(cache, revision, commit)
  return joinPath(folder, path)
}

/** Names the nearest file, or the first ones that hold rows. */
const fileError = (address: string, path: string | null, paths: ReadonlyArray<string>): InputError => {
  const rows = paths.filter((name) => /\.(csv|tsv|jsonl|json|parquet|txt)(\.gz)?$/i.test(name))
  const near = path === null ? null : nearest(path, rows)
  const some = near === null ? rows.slice(0, 3) : [near]
  const remedy = some.length === 0 ? '' : ` (it has ${some.join(', ')}${some.length < rows.length ? ', …' : ''})`
  return inputError(address, 'a file of the dataset', `${path === null ? 'no path in it' : 'none of this name'}${remedy}`)
}

/** false: the repository does not have it */
const fetchFile = async (remote: Remote, path: string, folder: string, cache: string): Promise<boolean> => {
  const place = joinPath(folder, path)
  await makeFolder(folderOf(place)).catch((thrown: unknown) => {
    throw systemInputError(folder, 'to create the cache folder', thrown)
  })
  return download(remote, path, place, joinPath(cache, 'blobs'))
}

/** Remembers the commit of a branch, so that its files are found without a request. */
const keepRevision = async (cache: string, revision: string, commit: string): Promise<void> => {
  if (commit === revision) return
  const place = joinPath(cache, 'refs', revision)
  await makeFolder(folderOf(place))
  await writeFileAtomically(place, commit)
}

/** Bytes of a repository's file list. */
const listLimit = 16_000_000

const listSchema = z.looseObject({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(z.looseObject({ rfilename: z.string().max(1000) })).max(100_000),
})

const listOf = async (remote: Remote): Promise<{ readonly commit: string; readonly paths: ReadonlyArray<string> }> => {
  const url = `${remote.endpoint}/api/${remote.model}/revision/${encodeURIComponent(remote.revision)}`
  const hubResponse = await request(remote, url, 'GET')
  const { response, timer } = hubResponse
  try {
    if (response.status !== 200) {
      await dismiss(hubResponse)
      throw inputError(url, 'status 200', statusInWords(response, 'dataset or revision'))
    }
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of response.body as ReadableStream<Uint8Array>) {
      timer.restart()
      size += chunk.length
      if (size > listLimit) throw inputError(url, `at most ${listLimit} bytes`, 'more')
      chunks.push(chunk)
    }
    const list = validate(listSchema, parseJson(Buffer.concat(chunks).toString(), url), url, "the hub's list of a dataset's files")
    return { commit: list.sha, paths: list.siblings.map(({ rfilename }) => rfilename).filter(isPlainPath) }
  } catch (thrown) {
    throw thrown instanceof InputError ? thrown : inputError(url, 'the whole of an answer', reasonOf(thrown, remote))
  } finally {
    timer.stop()
  }
}
