/** One file of a model over HTTP, as the hub serves it: ENDPOINT/MODEL/resolve/REVISION/FILE. */
import { stat } from 'node:fs/promises'
import { writeFileAtomically } from './atomicFile.js'
import { FileError, fileError, reason } from './fileError.js'

/** Bytes of one file so far; `total` is undefined where the server does not say. */
export type DownloadProgress = { readonly file: string; readonly received: number; readonly total: number | undefined }

/** A model at one revision of a server. */
export type Remote = {
  readonly endpoint: string
  readonly model: string
  readonly revision: string
  readonly token?: string
  readonly signal?: AbortSignal
  readonly onProgress: (progress: DownloadProgress) => void
}

/** The address of a file of the model. */
export const fileUrl = ({ endpoint, model, revision }: Remote, file: string): string =>
  `${endpoint}/${model}/resolve/${encodeURIComponent(revision)}/${encodeURIComponent(file)}`

/** Downloads `file` to `path` (nothing to do if it is there already). False if the model has no such file. Throws FileError. */
export const download = async (remote: Remote, file: string, path: string): Promise<boolean> => {
  if (await stat(path).then((found) => found.isFile(), () => false)) return true
  const url = fileUrl(remote, file)
  const response = await ask(remote, url, {})
  if (response.status === 404) return false
  if (response.status !== 200 || response.body === null) throw fileError(url, 'status 200', statusOf(response))
  await writeFileAtomically(path, piecesOf(response.body, response, remote, file, url))
  return true
}

/** The commit that the revision stands for now, so that all files are of one commit; the revision itself where the server does not say. */
export const commitOf = async (remote: Remote): Promise<string> => {
  let url = fileUrl(remote, 'config.json')
  for (let hop = 0; hop < 5; hop++) {
    // not followed blindly: the hub names the commit on its own answer, not on that of the storage it redirects to
    const response = await ask(remote, url, { method: 'HEAD', redirect: 'manual' })
    const commit = response.headers.get('x-repo-commit')
    if (commit !== null && /^[0-9a-f]{40}$/.test(commit)) return commit
    const location = response.headers.get('location')
    const next = location === null ? undefined : new URL(location, url)
    if (next === undefined || next.origin !== new URL(url).origin) break
    url = next.href
  }
  return remote.revision
}

const ask = async ({ token, signal }: Remote, url: string, options: RequestInit): Promise<Response> => {
  // fetch drops the authorization where a redirect leaves the endpoint; identity, so that content-length counts the file's bytes
  const headers = { 'accept-encoding': 'identity', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
  try {
    return await fetch(url, { ...options, headers, signal: signal ?? null })
  } catch (thrown) {
    throw fileError(url, 'an answer from the hub', reason(thrown))
  }
}

async function* piecesOf(
  body: ReadableStream<Uint8Array>,
  response: Response,
  remote: Remote,
  file: string,
  url: string,
): AsyncGenerator<Uint8Array> {
  const declared = response.headers.get('content-length')
  const total = declared === null || response.headers.has('content-encoding') ? undefined : Number(declared)
  let received = 0
  try {
    for await (const piece of body) {
      received += piece.length
      remote.onProgress({ file, received, total })
      yield piece
    }
  } catch (thrown) {
    if (thrown instanceof FileError) throw thrown
    throw fileError(url, `${total ?? 'all'} bytes`, `${received} (${reason(thrown)})`)
  }
  if (total !== undefined && received !== total) throw fileError(url, `${total} bytes`, `${received}`)
}

const statusOf = ({ status, statusText }: Response): string =>
  status === 401 || status === 403 ? `${status} (no such model, or one that needs HF_TOKEN)` : `${status} ${statusText}`.trim()
