/** Datasets of the hub: the files of `hf://datasets/OWNER/NAME` that a task needs, from the cache or downloaded into it. */
import { z } from 'zod'
import { writeFileAtomically } from '../../storage/atomicFile.js'
import { validate } from '../../errors/validate.js'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { makeFolder } from '../../storage/makeFolder.js'
import { InputError, inputError, quoted } from '../../errors/inputError.js'
import { systemInputError } from '../../errors/systemError.js'
import { folderOf, joinPath } from '../../storage/paths.js'
import { remoteOf, type HubOptions } from './hub.js'
import { isHubId, isRevision } from './hubId.js'
import { request, dismiss, reasonOf } from './hubResponse.js'
import { cacheOf, isOffline } from './hubEnvironment.js'
import { download, fileUrl, statusInWords, type Remote } from './hubDownload.js'

/** The files of a repository that a task needs. */
export type WantedFiles = {
  /** by the path in the repository, such as `mrpc/train-00000-of-00001.parquet` */
  readonly wants: (path: string) => boolean
  /** whether this folder has all of them */
  readonly isIn: (folder: string) => boolean
}

const scheme = 'hf://'

export const isHubAddress = (data: string): boolean => data.startsWith(scheme)

/**
 * The folder of a dataset's files at one commit. Files in the cache are used without a request; the environment variables are resolveModel's.
 * @param address hf://datasets/OWNER/NAME, optionally with @REVISION
 * @throws InputError
 */
export const resolveDataset = async (address: string, wanted: WantedFiles, options: HubOptions = {}): Promise<string> => {
  const { environment = process.env } = options
  const [, id = '', revision = 'main'] = /^hf:\/\/datasets\/([^/@]+\/[^/@]+)(?:@([^/@]+))?$/.exec(address) ?? []
  if (!isHubId(id) || !isRevision(revision)) throw inputError('--data', 'hf://datasets/OWNER/NAME, perhaps with @REVISION', quoted(address))
  const cache = joinPath(cacheOf(environment), `datasets--${id.replace('/', '--')}`)
  const commit = await readText(joinPath(cache, 'refs', revision), 1_000).then(
    (text) => text.trim(),
    () => revision,
  )
  const cached = joinPath(cache, 'snapshots', commit)
  if (isRevision(commit) && wanted.isIn(cached)) return cached
  if (isOffline(environment))
    throw inputError(address, `its files in ${cache} (offline, by --offline or HF_HUB_OFFLINE)`, 'no complete copy there')
  return downloadDataset(remoteOf(`datasets/${id}`, revision, { ...options, environment }), cache, wanted, address)
}

const downloadDataset = async (remote: Remote, cache: string, { wants, isIn }: WantedFiles, address: string): Promise<string> => {
  const { commit, paths } = await listOf(remote)
  const pinned = { ...remote, revision: commit }
  const folder = joinPath(cache, 'snapshots', commit)
  for (const path of paths.filter(wants)) {
    const place = joinPath(folder, path)
    await makeFolder(folderOf(place)).catch((thrown: unknown) => {
      throw systemInputError(folder, 'to create the cache folder', thrown)
    })
    if (!(await download(pinned, path, place, joinPath(cache, 'blobs'))))
      throw inputError(fileUrl(pinned, path), 'a file that the hub lists', 'none')
  }
  if (!isIn(folder)) throw inputError(address, 'the files of this task', 'none, or not all of them')
  if (commit !== remote.revision) {
    await makeFolder(joinPath(cache, 'refs'))
    await writeFileAtomically(joinPath(cache, 'refs', remote.revision), commit)
  }
  return folder
}

/** Bytes of a repository's file list. */
const listLimit = 16_000_000

const listSchema = z.looseObject({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(z.looseObject({ rfilename: z.string().max(1000) })).max(100_000),
})

/** A path that stays in its folder: letters, digits, "-", "_" and "." between slashes, and no name that begins with a dot. */
const isPlain = (path: string): boolean => path.split('/').every((part) => /^\w[\w.-]*$/.test(part))

const listOf = async (remote: Remote): Promise<{ readonly commit: string; readonly paths: ReadonlyArray<string> }> => {
  const url = `${remote.endpoint}/api/${remote.model}/revision/${encodeURIComponent(remote.revision)}`
  const hubResponse = await request(remote, url, 'GET')
  const { response, timer } = hubResponse
  try {
    if (response.status !== 200) {
      await dismiss(hubResponse)
      throw inputError(url, 'status 200', statusInWords(response, 'data set or revision'))
    }
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of response.body as ReadableStream<Uint8Array>) {
      timer.restart()
      size += chunk.length
      if (size > listLimit) throw inputError(url, `at most ${listLimit} bytes`, 'more')
      chunks.push(chunk)
    }
    const list = validate(listSchema, parseJson(Buffer.concat(chunks).toString(), url), url, "the hub's list of a data set's files")
    return { commit: list.sha, paths: list.siblings.map(({ rfilename }) => rfilename).filter(isPlain) }
  } catch (thrown) {
    throw thrown instanceof InputError ? thrown : inputError(url, 'the whole of an answer', reasonOf(thrown, remote))
  } finally {
    timer.stop()
  }
}
