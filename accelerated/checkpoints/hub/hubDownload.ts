/** Downloads one file of a repository, ENDPOINT/MODEL/resolve/REVISION/FILE, and checks it against the hub's hash. */
import { symlink, unlink } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { writeFileAtomically, renameFile } from '../../storage/atomicFile.js'
import { makeFolder } from '../../storage/folders.js'
import { InputError, inputError } from '../../errors/inputError.js'
import { systemInputError, writeError } from '../../errors/systemError.js'
import { isFile } from '../../storage/nodeFiles.js'
import { request, dismiss, reasonOf, type HubResponse, type RequestContext } from './hubResponse.js'
import { checkContent } from './hubContent.js'
import { claimPartial, hashOf, partialFile, releasePartial } from './partialFile.js'

/** Bytes of one file so far; `total` is undefined if the server does not give it. */
export type DownloadProgress = { readonly file: string; readonly received: number; readonly total: number | undefined }

/** A model at one revision of a server, or a dataset, whose name there is `datasets/OWNER/NAME`. */
export type Remote = RequestContext & {
  readonly model: string
  readonly revision: string
  readonly onProgress: (progress: DownloadProgress) => void
}

/** Attempts of an interrupted download. Two in a row without a byte are the last ones. */
const attempts = 6

/** The connection broke or timed out within the response: the only error that is retried. */
class InterruptedResponse extends InputError {}

/** Bytes of a file of weights, of a data file, and of any other. */
const weightLimit = 50_000_000_000
const dataLimit = 2_000_000_000
const textLimit = 64_000_000

const isOfDataset = ({ model }: Remote): boolean => model.startsWith('datasets/')
const limitOf = (remote: Remote, file: string): number =>
  isOfDataset(remote) ? dataLimit : file.endsWith('.safetensors') ? weightLimit : textLimit

/** The address of a file of the model. */
export const fileUrl = ({ endpoint, model, revision }: Remote, file: string): string =>
  `${endpoint}/${model}/resolve/${encodeURIComponent(revision)}/${file.split('/').map(encodeURIComponent).join('/')}`

/** The current commit of the revision, so that all files are of one commit; undefined if the server does not give it. */
export const commitOf = async (remote: Remote, file = 'config.json'): Promise<string | undefined> => {
  const response = await request(remote, fileUrl(remote, file), 'HEAD')
  await dismiss(response)
  return response.info.commit
}

/**
 * Downloads `file` to `path` in a snapshot, unless it is there. If the hub gives a hash, the bytes go into `blobs` under that name, and an
 * interrupted download resumes. Without a hash, the file is written entirely or not at all. → false if the repository does not have the file
 * @throws InputError for another status, length, hash or kind of content than expected
 */
export const download = async (remote: Remote, file: string, path: string, blobs: string): Promise<boolean> => {
  if (await isFile(path)) return true
  const url = fileUrl(remote, file)
  const first = await request(remote, url, 'GET')
  if (first.response.status === 404) {
    await dismiss(first)
    return false
  }
  const { hash } = first.info
  if (hash === undefined) {
    await writeFileAtomically(path, receivedChunks(first, remote, file, url, 0), undefined, (whole) =>
      checkContent(whole, file, url, isOfDataset(remote)),
    )
    return true
  }
  await makeFolder(blobs).catch((thrown: unknown) => {
    throw systemInputError(blobs, 'to create the cache folder', thrown)
  })
  const blob = join(blobs, hash)
  if (await isFile(blob)) await dismiss(first)
  else await fetchBlob(remote, file, url, blob, hash, first)
  await place(blob, path)
  return true
}

/** Downloads into a partial file of this process, and continues one of an earlier attempt. A file with the right hash is renamed to the blob. */
const fetchBlob = async (remote: Remote, file: string, url: string, blob: string, hash: string, first: HubResponse): Promise<void> => {
  const partial = await claimPartial(blob)
  try {
    await fill(partial, remote, file, url, first)
  } catch (thrown) {
    await releasePartial(partial, blob)
    throw thrown
  }
  try {
    const actual = await hashOf(partial, hash.length === 40 ? 'git' : 'sha256')
    if (actual !== hash) throw inputError(url, `the hash ${hash} that the hub gives`, `${actual} (nothing of it is kept)`)
    await checkContent(partial, file, url, isOfDataset(remote))
  } catch (thrown) {
    await unlink(partial)
    throw thrown
  }
  await renameFile(partial, blob).catch((thrown: unknown) => {
    throw writeError(blob, thrown)
  })
}

/** Retries after a broken connection as long as that brings more bytes. */
const fill = async (path: string, remote: Remote, file: string, url: string, first: HubResponse): Promise<void> => {
  const partial = await partialFile(path)
  try {
    let response: HubResponse | undefined = first
    for (let attempt = 1, fruitless = 0; ; attempt++) {
      const from: number = partial.size()
      if (from > 0) {
        if (response !== undefined) await dismiss(response)
        response = await request(remote, url, 'GET', { range: `bytes=${from}-` })
      }
      response ??= await request(remote, url, 'GET')
      // 416: no bytes are left to send. The hash shows whether the file is complete.
      if (response.response.status === 416 && from > 0) {
        await dismiss(response)
        return
      }
      const start = firstByteOf(response.response, from, remote, url)
      try {
        await partial.writeFrom(start, receivedChunks(response, remote, file, url, start))
        return
      } catch (thrown) {
        response = undefined
        fruitless = partial.size() > from ? 0 : fruitless + 1
        if (attempt === attempts || fruitless === 2 || !(thrown instanceof InterruptedResponse) || remote.signal?.aborted === true)
          throw thrown
      }
    }
  } finally {
    await partial.close()
  }
}

/** The response's first byte: `from` if the server supports ranges, 0 if it sends the whole file. */
const firstByteOf = (response: Response, from: number, remote: Remote, url: string): number => {
  if (response.status === 200) return 0
  if (response.status !== 206 || from === 0) return checkStatus(response, remote, url)
  const range = /^bytes (\d{1,15})-/.exec(response.headers.get('content-range') ?? '')
  if (range === null || Number(range[1]) !== from)
    throw inputError(url, `bytes from ${from}`, `content-range ${response.headers.get('content-range') ?? 'missing'}`)
  return from
}

const checkStatus = (response: Response, remote: Remote, url: string): never => {
  throw inputError(url, 'status 200', statusInWords(response, isOfDataset(remote) ? 'dataset' : 'model'))
}

/** A status that is not 200, with its meaning. @param noun model, or dataset */
export const statusInWords = ({ status, statusText }: Response, noun: string): string =>
  [401, 403, 404].includes(status)
    ? `${status} (no such ${noun}, or one that needs HF_TOKEN)`
    : status === 429
      ? '429 (too many requests: wait a few minutes, or set HF_TOKEN)'
      : `${status} ${statusText}`.trim()

async function* receivedChunks(
  { response, info, timer }: HubResponse,
  remote: Remote,
  file: string,
  url: string,
  start: number,
): AsyncGenerator<Uint8Array> {
  const { status, body, headers } = response
  const declared = headers.get('content-length')
  const sent = declared === null || headers.has('content-encoding') ? undefined : start + Number(declared)
  const total = sent ?? info.size
  let received = start
  try {
    if (status !== (start > 0 ? 206 : 200) || body === null) checkStatus(response, remote, url)
    if (info.size !== undefined && sent !== undefined && sent !== info.size)
      throw inputError(url, `${info.size} bytes, as the hub says`, `${sent}`)
    const limit = limitOf(remote, file)
    if ((total ?? 0) > limit) throw inputError(url, `at most ${limit} bytes`, `${total}`)
    for await (const chunk of body as ReadableStream<Uint8Array>) {
      timer.restart()
      received += chunk.length
      if (received > (total ?? limit)) throw inputError(url, `${total ?? `at most ${limit}`} bytes`, `more`)
      remote.onProgress({ file, received, total })
      yield chunk
    }
  } catch (thrown) {
    throw thrown instanceof InputError
      ? thrown
      : new InterruptedResponse(url, `${total ?? 'all'} bytes`, `${received} (${reasonOf(thrown, remote)})`)
  } finally {
    timer.stop()
  }
  if (total !== undefined && received !== total) throw inputError(url, `${total} bytes`, `${received}`)
}

/** Puts a link into the snapshot, like Python's tools, or the file itself if the system allows no links, as Windows by default. */
export const place = async (blob: string, path: string, link: typeof symlink = symlink): Promise<void> => {
  await link(relative(dirname(path), blob), path).catch(async (thrown: unknown) => {
    if (await isFile(path)) return
    await renameFile(blob, path).catch(() => {
      throw inputError(path, `a link to ${basename(blob)}`, String(thrown))
    })
  })
}
