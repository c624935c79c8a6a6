/**
 * Requests to the hub, from Node and browsers. They wait where the hub asks for it, retry what may pass, and time out. Redirects of downloads are
 * followed here, to control where they lead. Only the hub itself gets the token.
 */
import { InputError, inputError, reason } from '../../errors/inputError.js'
import { concatenate } from '../../storage/storage.js'
import type { Fetch } from './hubEnvironment.js'
import { waitBefore } from './hubRules.js'

/** A server, and how to ask it. */
export type RequestContext = {
  readonly fetch: Fetch
  /** http(s)://HOST, without a slash at the end */
  readonly endpoint: string
  readonly token?: string
  readonly signal?: AbortSignal
  /** milliseconds without a byte after which a request fails */
  readonly timeout: number
  /** milliseconds before the first retry of a request; doubled before each further one */
  readonly firstDelay: number
  /** why a request is repeated, and after how many seconds */
  readonly onWait: (reason: string, seconds: number) => void
}

/** A file's facts in the hub's own response. The storage server that it redirects to does not have them. */
type HubFileInfo = {
  readonly commit: string | undefined
  /** git's SHA-1 of a small file (40 hex digits) or the SHA-256 of a large one (64) */
  readonly hash: string | undefined
  /** bytes of a large file */
  readonly size: number | undefined
}

/** The timer runs until the body has been read or dismissed. */
type Answer = { readonly response: Response; readonly timer?: StallTimer }
export type HubResponse = Answer & { readonly info: HubFileInfo }

/** Aborts after `timeout` milliseconds without a call of `restart`. */
type StallTimer = { readonly signal: AbortSignal; readonly restart: () => void; readonly stop: () => void }

const stallTimer = ({ timeout, signal }: RequestContext): StallTimer => {
  const stalled = new AbortController()
  const expire = (): void => stalled.abort(new DOMException('silence', 'TimeoutError'))
  let running = setTimeout(expire, timeout)
  const stop = (): void => clearTimeout(running)
  return {
    signal: signal === undefined ? stalled.signal : AbortSignal.any([signal, stalled.signal]),
    restart: () => {
      stop()
      running = setTimeout(expire, timeout)
    },
    stop,
  }
}

/** Why a response ended: a timeout, or the error's own message. */
export const describeFailure = (thrown: unknown, { timeout, signal }: RequestContext): string =>
  thrown instanceof Error && thrown.name === 'TimeoutError' && signal?.aborted !== true ? `silence for ${timeout / 1000} s` : reason(thrown)

/** The bytes of an answer as they come. */
export async function* readBody({ response, timer }: Answer): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      timer?.restart()
      yield chunk
    }
  } finally {
    timer?.stop()
  }
}

/** All bytes of a short answer. @throws InputError for more than `limit` */
export const shortBody = async (answer: Answer, where: string, limit: number): Promise<Uint8Array<ArrayBuffer>> => {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of readBody(answer)) {
    size += chunk.length
    if (size > limit) throw inputError(where, `an answer of at most ${limit} bytes`, 'more')
    chunks.push(chunk)
  }
  return concatenate(chunks)
}

/** Drops a response whose body is not needed. */
export const dismiss = async ({ response, timer }: Answer): Promise<void> => {
  timer?.stop()
  await response.body?.cancel().catch(() => undefined) // it has failed
}

/** @throws the signal's reason */
const wait = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds)
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    if (signal?.aborted === true) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })

/**
 * Sends until the answer is final, or the caller stops it. → an InputError in place of a response that does not come
 * @throws the signal's reason if it ends a wait
 */
export const sendUntilFinal = async <A extends Answer>(
  context: Pick<RequestContext, 'signal' | 'firstDelay' | 'onWait'>,
  host: string,
  send: () => Promise<A | InputError>,
): Promise<A | InputError> => {
  const { signal, firstDelay, onWait } = context
  for (let attempt = 1; ; attempt++) {
    const answer = await send()
    const isError = answer instanceof InputError
    const seconds = waitBefore(isError ? answer : answer.response, attempt, firstDelay)
    if (seconds === null || signal?.aborted === true) return answer
    if (!isError) await dismiss(answer)
    onWait(isError ? answer.got : `status ${answer.response.status} from ${host}`, seconds)
    await wait(seconds * 1000, signal)
  }
}

const redirectLimit = 5

/**
 * Requests `url`, and again after a while where the answer may pass. Follows at most five redirects, from https to https only.
 * @throws InputError if there is no response, if it times out, or if a redirect leads to another protocol
 */
export const request = async (
  context: RequestContext,
  url: string,
  method: 'GET' | 'HEAD',
  headers: Readonly<Record<string, string>> = {},
): Promise<HubResponse> => {
  try {
    const answer = await sendUntilFinal(context, new URL(url).host, () => followRedirects(context, url, method, headers))
    if (answer instanceof InputError) throw answer
    return answer
  } catch (thrown) {
    throw thrown instanceof InputError ? thrown : inputError(url, 'an answer from the hub', describeFailure(thrown, context))
  }
}

const followRedirects = async (
  context: RequestContext,
  url: string,
  method: 'GET' | 'HEAD',
  headers: Readonly<Record<string, string>>,
): Promise<HubResponse> => {
  const timer = stallTimer(context)
  const home = new URL(context.endpoint).origin
  let info: HubFileInfo = { commit: undefined, hash: undefined, size: undefined }
  let at = new URL(url)
  try {
    for (let hop = 0; hop <= redirectLimit; hop++) {
      const all = new Headers({ ...headers, 'accept-encoding': 'identity' }) // so that content-length counts the file's bytes
      if (context.token !== undefined && at.origin === home) all.set('authorization', `Bearer ${context.token}`)
      const response = await context.fetch(at, { method, redirect: 'manual', signal: timer.signal, headers: all })
      timer.restart()
      if (at.origin === home) info = mergeInfo(info, response.headers)
      const location = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null
      if (location === null) return { response, info, timer }
      await response.body?.cancel()
      at = nextAddress(location, at, url)
    }
    throw inputError(url, `at most ${redirectLimit} redirects`, 'more')
  } catch (thrown) {
    timer.stop()
    throw thrown
  }
}

const nextAddress = (location: string, from: URL, url: string): URL => {
  const next = URL.canParse(location, from.href) ? new URL(location, from) : null
  const allowed = from.protocol === 'https:' ? ['https:'] : ['http:', 'https:']
  if (next !== null && allowed.includes(next.protocol)) return next
  const expected = `a redirect to ${allowed.map((protocol) => `${protocol}//`).join(' or ')}`
  throw inputError(url, expected, next === null ? 'no address' : `one to ${next.protocol}`)
}

/** The first response with a value counts. An ETag is a hash only if it looks like one; the x-linked-… headers describe the file behind a redirect. */
const mergeInfo = (earlier: HubFileInfo, headers: Headers): HubFileInfo => {
  const tag = (headers.get('x-linked-etag') ?? headers.get('etag') ?? '').replace(/^W\//, '').replaceAll('"', '')
  const [commit = '', size = ''] = [headers.get('x-repo-commit') ?? '', headers.get('x-linked-size') ?? '']
  return {
    commit: earlier.commit ?? (/^[0-9a-f]{40}$/.test(commit) ? commit : undefined),
    hash: earlier.hash ?? (/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(tag) ? tag : undefined),
    size: earlier.size ?? (/^\d{1,15}$/.test(size) ? Number(size) : undefined),
  }
}

type UploadContext = RequestContext & {
  /** bytes of a file or a part that were sent; negative where a retry sends them again */
  readonly onSent: (bytes: number) => void
}

/** The `fetch` of an upload. @throws InputError, from the function that it returns, if a server does not answer */
export const uploadFetch =
  (context: UploadContext): typeof fetch =>
  async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const answer = await sendUntilFinal(context, url.host, () => sendOnce(context, url, init))
    if (answer instanceof InputError) throw answer
    return answer.response
  }

/** Bytes of an answer; that of a commit or a list is far shorter. */
const answerLimit = 64_000_000

/** One attempt, its answer read to the end: answers to uploads are short. */
const sendOnce = async (context: UploadContext, url: URL, init: RequestInit): Promise<Answer | InputError> => {
  const timer = stallTimer(context)
  let sent = 0
  const count = (bytes: number): void => {
    timer.restart()
    sent += bytes
    context.onSent(bytes)
  }
  try {
    const signal = init.signal == null ? timer.signal : AbortSignal.any([init.signal, timer.signal])
    const response = await context.fetch(url, { ...init, ...countedBody(init, count), headers: uploadHeaders(context, url, init), signal })
    if (!response.ok) count(-sent)
    const bytes = await shortBody({ response, timer }, url.host, answerLimit)
    const { status, statusText, headers } = response
    const copy = new Response([204, 205, 304].includes(status) ? null : bytes, { status, statusText, headers })
    return { response: Object.defineProperty(copy, 'url', { value: response.url.split('?')[0] }), timer } // a query may be signed
  } catch (thrown) {
    count(-sent)
    timer.stop()
    return thrown instanceof InputError ? thrown : inputError(`${url.origin}${url.pathname}`, 'an answer', describeFailure(thrown, context)) // without the query
  }
}

/** The token goes to the hub alone: storage has its own credentials, in its address or in its headers. */
const uploadHeaders = ({ endpoint, token }: UploadContext, url: URL, { headers, body }: RequestInit): Headers => {
  const all = new Headers(headers)
  if (url.origin === new URL(endpoint).origin) {
    all.delete('authorization')
    if (token !== undefined) all.set('authorization', `Bearer ${token}`)
  }
  if (body instanceof Blob) all.set('content-length', String(body.size)) // storage refuses a body of unknown length
  return all
}

/** A Blob is a file or a part of one: it is sent in pieces, and counted. */
const countedBody = ({ body }: RequestInit, count: (bytes: number) => void): RequestInit => {
  if (!(body instanceof Blob)) return {}
  const counting = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, controller) => {
      count(chunk.length)
      controller.enqueue(chunk)
    },
  })
  return { body: body.stream().pipeThrough(counting), duplex: 'half' } as RequestInit
}
