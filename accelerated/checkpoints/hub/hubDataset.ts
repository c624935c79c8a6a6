/** Data sets of the hub: the files that are wanted of `hf://datasets/OWNER/NAME`, from its cache or downloaded into it. */
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../storage/atomicFile.js'
import { validate } from '../../errors/validate.js'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { makeFolder } from '../../storage/makeFolder.js'
import { InputError, inputError, quoted } from '../../errors/inputError.js'
import { systemInputError } from '../../errors/systemError.js'
import { isHubId, isRevision, remoteOf, type HubOptions } from './hub.js'
import { request, dismiss, reasonOf } from './hubResponse.js'
import { cacheOf, isOffline } from './hubEnvironment.js'
import { download, fileUrl, type Remote } from './hubDownload.js'

/** What of a repository is needed. */
export type WantedFiles = {
  /** by the path in the repository, such as `mrpc/train-00000-of-00001.parquet` */
  readonly wants: (path: string) => boolean
  /** whether this folder has all of them */
  readonly isIn: (folder: string) => boolean
}

const scheme = 'hf://'

export const isHubAddress = (data: string): boolean => data.startsWith(scheme)

/**
 * The folder of a data set's files, at one commit. `address`: hf://datasets/OWNER/NAME, perhaps with @REVISION; the variables are those of
 * `resolveModel`. What is in the cache is used without asking the network. @throws Mistake
 */
export const resolveDataset = async (address: string, wanted: WantedFiles, options: HubOptions = {}): Promise<string> => {
  const { environment = process.env } = options
  const [, id = '', revision = 'main'] = /^hf:\/\/datasets\/([^/@]+\/[^/@]+)(?:@([^/@]+))?$/.exec(address) ?? []
  if (!isHubId(id) || !isRevision(revision)) throw inputError('--data', 'hf://datasets/OWNER/NAME, perhaps with @REVISION', quoted(address))
  const cache = join(cacheOf(environment), `datasets--${id.replace('/', '--')}`)
  const commit = await readText(join(cache, 'refs', revision), 1_000).then(
    (text) => text.trim(),
    () => revision,
  )
  const cached = join(cache, 'snapshots', commit)
  if (isRevision(commit) && wanted.isIn(cached)) return cached
  if (isOffline(environment)) throw inputError(address, `its files in ${cache} (HF_HUB_OFFLINE is set)`, 'no complete copy there')
  return downloadDataset(remoteOf(`datasets/${id}`, revision, { ...options, environment }), cache, wanted, address)
}

const downloadDataset = async (remote: Remote, cache: string, { wants, isIn }: WantedFiles, address: string): Promise<string> => {
  const { commit, paths } = await listOf(remote)
  const pinned = { ...remote, revision: commit }
  const folder = join(cache, 'snapshots', commit)
  for (const path of paths.filter(wants)) {
    const place = join(folder, path)
    await makeFolder(join(place, '..')).catch((thrown: unknown) => {
      throw systemInputError(folder, 'to create the cache folder', thrown)
    })
    if (!(await download(pinned, path, place, join(cache, 'blobs'))))
      throw inputError(fileUrl(pinned, path), 'a file that the hub lists', 'none')
  }
  if (!isIn(folder)) throw inputError(address, 'the files of this task', 'none, or not all of them')
  if (commit !== remote.revision) {
    await makeFolder(join(cache, 'refs'))
    await writeFileAtomically(join(cache, 'refs', remote.revision), commit)
  }
  return folder
}

/** Bytes of the list of a repository's files. */
const listLimit = 16_000_000

const listSchema = z.looseObject({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  siblings: z.array(z.looseObject({ rfilename: z.string().max(1000) })).max(100_000),
})

/** Letters, digits, "-", "_" and "." between slashes, and no name that begins with a dot: a path that stays where it is put. */
const isPlain = (path: string): boolean => path.split('/').every((part) => /^\w[\w.-]*$/.test(part))

const listOf = async (remote: Remote): Promise<{ readonly commit: string; readonly paths: ReadonlyArray<string> }> => {
  const url = `${remote.endpoint}/api/${remote.model}/revision/${encodeURIComponent(remote.revision)}`
  const answer = await request(remote, url, 'GET')
  const { response, clock } = answer
  try {
    if (response.status !== 200) {
      await dismiss(answer)
      throw inputError(
        url,
        'status 200',
        [401, 403, 404].includes(response.status)
          ? `${response.status} (no such data set or revision, or one that needs HF_TOKEN)`
          : String(response.status),
      )
    }
    const pieces: Uint8Array[] = []
    let size = 0
    for await (const piece of response.body as ReadableStream<Uint8Array>) {
      clock.heard()
      size += piece.length
      if (size > listLimit) throw inputError(url, `at most ${listLimit} bytes`, 'more')
      pieces.push(piece)
    }
    const list = validate(listSchema, parseJson(Buffer.concat(pieces).toString(), url), url, "the hub's list of a data set's files")
    return { commit: list.sha, paths: list.siblings.map(({ rfilename }) => rfilename).filter(isPlain) }
  } catch (thrown) {
    throw thrown instanceof InputError ? thrown : inputError(url, 'the whole of an answer', reasonOf(thrown, remote))
  } finally {
    clock.stop()
  }
}
