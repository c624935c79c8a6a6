/**
 * Downloads one file of a repository, ENDPOINT/MODEL/resolve/REVISION/FILE, checks it and reports progress. An interrupted download resumes in the
 * partial file that it left; each process has its own.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, readdir, rename, stat, symlink, unlink, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { InputError, inputError } from '../../errors/inputError.js'
import { systemCode, systemInputError, writeError } from '../../errors/systemError.js'
import { renameFile, writeFileAtomically } from '../../storage/atomicFile.js'
import { makeFolder } from '../../storage/folders.js'
import { isFile } from '../../storage/nodeFiles.js'
import { checkContent, hashFile } from './hubContent.js'
import { readBody, dismiss, describeFailure, request, type HubResponse, type RequestContext } from './hubRequest.js'

/** Bytes of one file so far; `total` is undefined if the server does not give it. */
export type DownloadProgress = { readonly file: string; readonly received: number; readonly total: number | undefined }

/** A model at one revision of a server, or a dataset, whose name there is `datasets/OWNER/NAME`. */
export type Remote = RequestContext & {
  readonly model: string
  readonly revision: string
  readonly onProgress: (progress: DownloadProgress) => void
}

type Wanted = { readonly remote: Remote; readonly file: string; readonly url: string }

/** Attempts of an interrupted download. Two in a row without a byte are the last ones. */
const attempts = 6

/** The connection broke or timed out within the response: the only error that is retried. */
class InterruptedResponse extends InputError {}

/** Bytes of a file of weights, of a data file, and of any other. */
const weightLimit = 50_000_000_000
const dataLimit = 2_000_000_000
const textLimit = 64_000_000

const isData = ({ model }: Remote): boolean => model.startsWith('datasets/')
const chooseLimit = ({ remote, file }: Wanted): number =>
  isData(remote) ? dataLimit : file.endsWith('.safetensors') ? weightLimit : textLimit

/** The address of a file of the model. */
export const fileUrl = ({ endpoint, model, revision }: Remote, file: string): string =>
  `${endpoint}/${model}/resolve/${encodeURIComponent(revision)}/${file.split('/').map(encodeURIComponent).join('/')}`

/** The current commit of the revision, so that all files are of one commit; undefined if the server does not give it. */
export const currentCommit = async (remote: Remote, file: string): Promise<string | undefined> => {
  const response = await request(remote, fileUrl(remote, file), 'HEAD')
  await dismiss(response)
  return response.info.commit
}

/**
 * Downloads a file into the snapshot `folder`, unless it is there. If the hub gives a hash, the bytes go into `blobs` under that name, and an
 * interrupted download resumes. Without a hash, the file is written entirely or not at all. → false if the repository does not have the file
 * @throws InputError for another status, length, hash or kind of content than expected
 */
export const download = async (remote: Remote, file: string, folder: string, blobs: string): Promise<boolean> => {
  const path = join(folder, file)
  if (await isFile(path)) return true
  for (const each of [folder, blobs]) await makeCacheFolder(each)
  const wanted = { remote, file, url: fileUrl(remote, file) }
  const first = await request(remote, wanted.url, 'GET')
  if (first.response.status === 404) {
    await dismiss(first)
    return false
  }
  await makeCacheFolder(dirname(path))
  const { hash } = first.info
  if (hash === undefined) {
    await writeFileAtomically(path, receivedChunks(first, wanted, 0), undefined, (temporary) =>
      checkContent(temporary, file, wanted.url, isData(remote)),
    )
    return true
  }
  const blob = join(blobs, hash)
  if (await isFile(blob)) await dismiss(first)
  else await fetchBlob(wanted, blob, hash, first)
  await place(blob, path)
  return true
}

const makeCacheFolder = (folder: string): Promise<void> =>
  makeFolder(folder).catch((thrown: unknown) => {
    throw systemInputError(folder, 'to create the cache folder', thrown)
  })

/** Downloads into a partial file of this process, and continues one of an earlier attempt. A file with the right hash is renamed to the blob. */
const fetchBlob = async (wanted: Wanted, blob: string, hash: string, first: HubResponse): Promise<void> => {
  const partial = await claimPartial(blob)
  await fill(partial, wanted, first).catch(async (thrown: unknown) => {
    await rename(partial, `${blob}.incomplete.left`).catch(() => undefined) // for the next attempt
    throw thrown
  })
  try {
    const actual = await hashFile(partial, hash.length === 40 ? 'git' : 'sha256', (await stat(partial)).size)
    if (actual !== hash) throw inputError(wanted.url, `the hash ${hash} that the hub gives`, `${actual} (nothing of it is kept)`)
    await checkContent(partial, wanted.file, wanted.url, isData(wanted.remote))
  } catch (thrown) {
    await unlink(partial)
    throw thrown
  }
  await renameFile(partial, blob).catch((thrown: unknown) => {
    throw writeError(blob, thrown)
  })
}

const host = hostname().replace(/[^\w-]/g, '_')

/**
 * A name for a partial download of `blob` that no other process uses. If an interrupted download or a dead process left a partial file, it
 * gets that name. BLOB.incomplete is not touched, because Python's tools use it.
 */
const claimPartial = async (blob: string): Promise<string> => {
  const path = `${blob}.incomplete.${host}.${process.pid}.${randomBytes(6).toString('hex')}`
  const names = await readdir(dirname(blob)).catch(() => [])
  for (const name of names.filter((other) => isLeft(other, basename(blob)))) {
    const isClaimed = await rename(join(dirname(blob), name), path).then(
      () => true,
      () => false, // another process was faster, or opening the file will report what is wrong with the folder
    )
    if (isClaimed) break
  }
  return path
}

/** Whether a file is left over from a download of `blob` that has ended. Files of another machine's processes are not touched. */
const isLeft = (name: string, blob: string): boolean => {
  if (!name.startsWith(`${blob}.incomplete.`)) return false
  const [, owner, pid] = /^\.([\w-]*)\.(\d+)\.[0-9a-f]{12}$/.exec(name.slice(`${blob}.incomplete`.length)) ?? []
  return name === `${blob}.incomplete.left` || (owner === host && !isAlive(Number(pid)))
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (thrown) {
    return systemCode(thrown) !== 'ESRCH'
  }
}

/** Fills the partial file from its end on. Retries after a broken connection as long as that brings more bytes. A link is not followed. */
const fill = async (path: string, wanted: Wanted, first: HubResponse): Promise<void> => {
  const { remote, url } = wanted
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | (constants.O_NOFOLLOW ?? 0)
  const handle = await open(path, flags, 0o644).catch(async (thrown: unknown) => {
    await dismiss(first)
    throw writeError(path, thrown)
  })
  try {
    let answer: HubResponse | null = first
    for (let attempt = 1, fruitless = 0; ; attempt++) {
      const from = (await handle.stat()).size
      if (answer === null || from > 0) {
        if (answer !== null) await dismiss(answer)
        answer = await request(remote, url, 'GET', from > 0 ? { range: `bytes=${from}-` } : {})
      }
      // 416: no bytes are left to send. The hash shows whether the file is complete.
      if (answer.response.status === 416 && from > 0) return await dismiss(answer)
      try {
        const start = firstByte(answer.response, from, wanted)
        await handle.truncate(start)
        await writeFile(handle, receivedChunks(answer, wanted, start))
        return await handle.sync()
      } catch (thrown) {
        await dismiss(answer)
        answer = null
        fruitless = (await handle.stat()).size > from ? 0 : fruitless + 1
        const isLast = attempt === attempts || fruitless === 2 || remote.signal?.aborted === true
        if (isLast || !(thrown instanceof InterruptedResponse)) throw writeError(path, thrown)
      }
    }
  } finally {
    await handle.close()
  }
}

/** The response's first byte: `from` if the server supports ranges, 0 if it sends the whole file. */
const firstByte = (response: Response, from: number, { remote, url }: Wanted): number => {
  if (response.status === 200) return 0
  if (response.status !== 206 || from === 0)
    throw inputError(url, 'status 200', statusInWords(response, isData(remote) ? 'dataset' : 'model'))
  const range = response.headers.get('content-range') ?? 'missing'
  if (Number(/^bytes (\d{1,15})-/.exec(range)?.[1]) !== from) throw inputError(url, `bytes from ${from}`, `content-range ${range}`)
  return from
}

/** A status that is not 200, with its meaning. @param noun model, or dataset */
export const statusInWords = ({ status, statusText }: Response, noun: string): string =>
  [401, 403, 404].includes(status)
    ? `${status} (no such ${noun}, or one that needs HF_TOKEN)`
    : status === 429
      ? '429 (too many requests: wait a few minutes, or set HF_TOKEN)'
      : `${status} ${statusText}`.trim()

async function* receivedChunks(answer: HubResponse, wanted: Wanted, start: number): AsyncGenerator<Uint8Array> {
  const { remote, file, url } = wanted
  const { response, info } = answer
  const declared = response.headers.get('content-length')
  const sent = declared === null || response.headers.has('content-encoding') ? undefined : start + Number(declared)
  const total = sent ?? info.size
  const limit = chooseLimit(wanted)
  let received = start
  try {
    if (start === 0) firstByte(response, 0, wanted)
    if (info.size !== undefined && sent !== undefined && sent !== info.size)
      throw inputError(url, `${info.size} bytes, as the hub says`, `${sent}`)
    if ((total ?? 0) > limit) throw inputError(url, `at most ${limit} bytes`, `${total}`)
    for await (const chunk of readBody(answer)) {
      received += chunk.length
      if (received > (total ?? limit)) throw inputError(url, `${total ?? `at most ${limit}`} bytes`, `more`)
      remote.onProgress({ file, received, total })
      yield chunk
    }
  } catch (thrown) {
    throw thrown instanceof InputError
      ? thrown
      : new InterruptedResponse(url, `${total ?? 'all'} bytes`, `${received} (${describeFailure(thrown, remote)})`)
  } finally {
    await dismiss(answer)
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

/** Milliseconds before a file's first line, and between two lines. */
const [firstLine, interval] = [1_000, 10_000]

/** A line every ten seconds for a file that takes more than one, such as `downloading model.safetensors, 120 of 499 MB`. */
export const downloadReporter = (
  onLine: (line: string) => void,
  now: () => number = () => performance.now(),
): ((at: DownloadProgress) => void) => {
  let [file, due] = ['', 0]
  return (at) => {
    if (at.file !== file) [file, due] = [at.file, now() + firstLine]
    if (now() < due || at.received === at.total) return
    due = now() + interval
    const megabytes = (bytes: number): string => Math.round(bytes / 1e6).toLocaleString('en-US')
    onLine(`downloading ${file}, ${megabytes(at.received)} ${at.total === undefined ? 'MB' : `of ${megabytes(at.total)} MB`}`)
  }
}

let report: Pick<Remote, 'onProgress' | 'onWait'> = { onProgress: () => undefined, onWait: () => undefined }

/** Sets the listener of downloads in this thread that have no listener of their own. */
export const onDownloadProgress = (onLine: (line: string) => void): void => {
  const onWait = (reason: string, seconds: number): void => onLine(`waiting ${Math.ceil(seconds)} s for the hub (${reason})`)
  report = { onProgress: downloadReporter(onLine), onWait }
}

/** The listener of this thread. */
export const threadReport: typeof report = {
  onProgress: (progress) => report.onProgress(progress),
  onWait: (reason, seconds) => report.onWait(reason, seconds),
}
