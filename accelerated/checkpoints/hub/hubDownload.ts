/** One file of a model over HTTP, as the hub serves it: ENDPOINT/MODEL/resolve/REVISION/FILE, checked against the hash that the hub gives. */
import { rename, symlink, unlink } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { writeFileAtomically } from '../../storage/atomicFile.js'
import { makeFolder } from '../../storage/makeFolder.js'
import { InputError, inputError } from '../../errors/inputError.js'
import { systemInputError, writeError } from '../../errors/systemError.js'
import { isFile } from '../../storage/regularFile.js'
import { request, dismiss, reasonOf, type HubResponse, type RequestContext } from './hubResponse.js'
import { checkContent } from './hubContent.js'
import { claimPartial, hashOf, partialFile, releasePartial } from './partialFile.js'

/** Bytes of one file so far; `total` is undefined where the server does not say. */
export type DownloadProgress = { readonly file: string; readonly received: number; readonly total: number | undefined }

/** A model at one revision of a server; or a data set, which the hub has as `datasets/OWNER/NAME`. */
export type Remote = RequestContext & {
  readonly model: string
  readonly revision: string
  readonly onProgress: (progress: DownloadProgress) => void
}

/** How often a download that broke off goes on by itself; two attempts in a row without a byte end it before. */
const attempts = 6

/** The connection broke or fell silent within the answer: the only mistake that asking again may mend. */
class InterruptedAnswer extends InputError {}

/** Bytes of a file of weights, of one of data, and of any other. */
const weightLimit = 50_000_000_000
const dataLimit = 2_000_000_000
const textLimit = 64_000_000

const limitOf = (file: string): number => (file.endsWith('.safetensors') ? weightLimit : file.endsWith('.parquet') ? dataLimit : textLimit)

/** The address of a file of the model. */
export const fileUrl = ({ endpoint, model, revision }: Remote, file: string): string =>
  `${endpoint}/${model}/resolve/${encodeURIComponent(revision)}/${file.split('/').map(encodeURIComponent).join('/')}`

/** The commit that the revision stands for now, so that all files are of one commit; undefined where the server does not say. */
export const commitOf = async (remote: Remote): Promise<string | undefined> => {
  const answer = await request(remote, fileUrl(remote, 'config.json'), 'HEAD')
  await dismiss(answer)
  return answer.facts.commit
}

/**
 * Downloads `file` to `path` in a snapshot (nothing to do if it is there already). False if the model has no such file. Where the hub
 * gives a hash the bytes lie in `blobs` under it, and an interrupted download goes on; where it gives none they are kept only whole.
 * Throws Mistake: another status, another length, another hash, another content than the file's name says.
 */
export const download = async (remote: Remote, file: string, path: string, blobs: string): Promise<boolean> => {
  if (await isFile(path)) return true
  const url = fileUrl(remote, file)
  const first = await request(remote, url, 'GET')
  if (first.response.status === 404) {
    await dismiss(first)
    return false
  }
  const { hash } = first.facts
  if (hash === undefined) {
    await writeFileAtomically(path, receivedPieces(first, remote, file, url, 0), undefined, (whole) => checkContent(whole, file, url))
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

/** Fills a file of its own, from where an earlier attempt left it, and gives it the blob's name when its hash is right. */
const fetchBlob = async (remote: Remote, file: string, url: string, blob: string, hash: string, first: HubResponse): Promise<void> => {
  const own = await claimPartial(blob)
  try {
    await fill(own, remote, file, url, first)
  } catch (thrown) {
    await releasePartial(own, blob)
    throw thrown
  }
  try {
    const found = await hashOf(own, hash.length === 40 ? 'git' : 'sha256')
    if (found !== hash) throw inputError(url, `the hash ${hash} that the hub gives`, `${found} (nothing of it is kept)`)
    await checkContent(own, file, url)
  } catch (thrown) {
    await unlink(own)
    throw thrown
  }
  await rename(own, blob).catch((thrown: unknown) => {
    throw writeError(blob, thrown)
  })
}

/** Goes on by itself where the connection broke, as often as it helps. */
const fill = async (own: string, remote: Remote, file: string, url: string, first: HubResponse): Promise<void> => {
  const partial = await partialFile(own)
  try {
    let answer: HubResponse | undefined = first
    for (let attempt = 1, fruitless = 0; ; attempt++) {
      const from: number = partial.size()
      if (from > 0) {
        if (answer !== undefined) await dismiss(answer)
        answer = await request(remote, url, 'GET', { range: `bytes=${from}-` })
      }
      answer ??= await request(remote, url, 'GET')
      // 416: nothing is left to send; whether that is the file, the hash will tell
      if (answer.response.status === 416 && from > 0) {
        await dismiss(answer)
        return
      }
      const start = firstByteOf(answer.response, from, url)
      try {
        await partial.writeFrom(start, receivedPieces(answer, remote, file, url, start))
        return
      } catch (thrown) {
        answer = undefined
        fruitless = partial.size() > from ? 0 : fruitless + 1
        if (attempt === attempts || fruitless === 2 || !(thrown instanceof InterruptedAnswer) || remote.signal?.aborted === true)
          throw thrown
      }
    }
  } finally {
    await partial.close()
  }
}

/** The byte with which the answer begins: `from` if the server heeded the range, 0 if it sends the whole. */
const firstByteOf = (response: Response, from: number, url: string): number => {
  if (response.status === 200) return 0
  if (response.status !== 206 || from === 0) return checkStatus(response, url)
  const range = /^bytes (\d{1,15})-/.exec(response.headers.get('content-range') ?? '')
  if (range === null || Number(range[1]) !== from)
    throw inputError(url, `bytes from ${from}`, `content-range ${response.headers.get('content-range') ?? 'missing'}`)
  return from
}

const checkStatus = (response: Response, url: string): never => {
  const { status, statusText } = response
  throw inputError(
    url,
    'status 200',
    status === 401 || status === 403 ? `${status} (no such model, or one that needs HF_TOKEN)` : `${status} ${statusText}`.trim(),
  )
}

async function* receivedPieces(
  { response, facts, clock }: HubResponse,
  remote: Remote,
  file: string,
  url: string,
  start: number,
): AsyncGenerator<Uint8Array> {
  const { status, body, headers } = response
  const declared = headers.get('content-length')
  const sent = declared === null || headers.has('content-encoding') ? undefined : start + Number(declared)
  const total = sent ?? facts.size
  let received = start
  try {
    if (status !== (start > 0 ? 206 : 200) || body === null) checkStatus(response, url)
    if (facts.size !== undefined && sent !== undefined && sent !== facts.size)
      throw inputError(url, `${facts.size} bytes, as the hub says`, `${sent}`)
    const limit = limitOf(file)
    if ((total ?? 0) > limit) throw inputError(url, `at most ${limit} bytes`, `${total}`)
    for await (const piece of body as ReadableStream<Uint8Array>) {
      clock.heard()
      received += piece.length
      if (received > (total ?? limit)) throw inputError(url, `${total ?? `at most ${limit}`} bytes`, `more`)
      remote.onProgress({ file, received, total })
      yield piece
    }
  } catch (thrown) {
    throw thrown instanceof InputError
      ? thrown
      : new InterruptedAnswer(url, `${total ?? 'all'} bytes`, `${received} (${reasonOf(thrown, remote)})`)
  } finally {
    clock.stop()
  }
  if (total !== undefined && received !== total) throw inputError(url, `${total} bytes`, `${received}`)
}

/** As Python's tools do: a link in the snapshot; where the system allows none, the file itself. */
const place = async (blob: string, path: string): Promise<void> => {
  await symlink(relative(dirname(path), blob), path).catch(async (thrown: unknown) => {
    if (await isFile(path)) return
    await rename(blob, path).catch(() => {
      throw inputError(path, `a link to ${basename(blob)}`, String(thrown))
    })
  })
}
