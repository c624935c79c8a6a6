/** One request to the hub. Redirects are followed here, to control where they lead and which server gets the token. */
import { setTimeout as wait } from 'node:timers/promises'
import { InputError, inputError, reason } from '../../errors/inputError.js'
import { waitBefore } from './passingAnswers.js'
import type { Fetch } from './proxiedFetch.js'

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
export type HubFileInfo = {
  readonly commit: string | undefined
  /** git's SHA-1 of a small file (40 hex digits) or the SHA-256 of a large one (64) */
  readonly hash: string | undefined
  /** bytes of a large file */
  readonly size: number | undefined
}

/** `timer` runs until stopped. */
export type HubResponse = { readonly response: Response; readonly info: HubFileInfo; readonly timer: StallTimer }

/** Aborts after `timeout` milliseconds without a call of `restart`. */
export type StallTimer = { readonly signal: AbortSignal; readonly restart: () => void; readonly stop: () => void }

const redirectLimit = 5

/**
 * Requests `url`, and again after a while where the answer may pass. Follows at most five redirects, from https to https only. Only the endpoint's own
 * host gets the token.
 * @throws InputError if there is no response, if it times out, or if a redirect leads to another protocol
 */
export const request = async (
  context: RequestContext,
  url: string,
  method: 'GET' | 'HEAD',
  headers: Readonly<Record<string, string>> = {},
): Promise<HubResponse> => {
  for (let attempt = 1; ; attempt++) {
    const answer = await followed(context, url, method, headers)
    const seconds = waitBefore(answer.response, attempt, context.firstDelay)
    if (seconds === null) return answer
    await dismiss(answer)
    context.onWait(`status ${answer.response.status} from ${new URL(url).host}`, seconds)
    await wait(seconds * 1000, undefined, context.signal === undefined ? {} : { signal: context.signal }).catch((thrown: unknown) => {
      throw inputError(url, 'an answer from the hub', reasonOf(thrown, context))
    })
  }
}

const followed = async (
  context: RequestContext,
  url: string,
  method: 'GET' | 'HEAD',
  headers: Readonly<Record<string, string>>,
): Promise<HubResponse> => {
  const timer = stallTimer(context)
  const home = new URL(context.endpoint)
  let info: HubFileInfo = { commit: undefined, hash: undefined, size: undefined }
  let at = new URL(url)
  try {
    for (let hop = 0; hop <= redirectLimit; hop++) {
      const response = await context.fetch(at, {
        method,
        redirect: 'manual',
        signal: timer.signal,
        headers: {
          ...headers,
          'accept-encoding': 'identity', // so that content-length counts the file's bytes
          ...(context.token === undefined || at.origin !== home.origin ? {} : { authorization: `Bearer ${context.token}` }),
        },
      })
      timer.restart()
      if (at.origin === home.origin) info = merged(info, response.headers)
      const location = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null
      if (location === null) return { response, info, timer }
      await response.body?.cancel()
      at = nextAddress(location, at, url)
    }
    throw inputError(url, `at most ${redirectLimit} redirects`, 'more')
  } catch (thrown) {
    timer.stop()
    throw thrown instanceof InputError ? thrown : inputError(url, 'an answer from the hub', reasonOf(thrown, context))
  }
}

/** Why a response ended: a timeout, or the error's own message. */
export const reasonOf = (thrown: unknown, { timeout, signal }: RequestContext): string =>
  thrown instanceof Error && thrown.name === 'TimeoutError' && signal?.aborted !== true ? `silence for ${timeout / 1000} s` : reason(thrown)

const nextAddress = (location: string, from: URL, url: string): URL => {
  const next = URL.canParse(location, from.href) ? new URL(location, from) : undefined
  const allowed = from.protocol === 'https:' ? ['https:'] : ['http:', 'https:']
  if (next === undefined || !allowed.includes(next.protocol)) {
    throw inputError(
      url,
      `a redirect to ${allowed.map((protocol) => `${protocol}//`).join(' or ')}`,
      next === undefined ? 'no address' : `one to ${next.protocol}`,
    )
  }
  return next
}

/** The first response with a value counts. An ETag is a hash only if it looks like one; the x-linked-… headers describe the file behind a redirect. */
const merged = (earlier: HubFileInfo, headers: Headers): HubFileInfo => {
  const commit = headers.get('x-repo-commit')
  const tag = (headers.get('x-linked-etag') ?? headers.get('etag') ?? '').replace(/^W\//, '').replaceAll('"', '')
  const size = headers.get('x-linked-size')
  return {
    commit: earlier.commit ?? (commit !== null && /^[0-9a-f]{40}$/.test(commit) ? commit : undefined),
    hash: earlier.hash ?? (/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(tag) ? tag : undefined),
    size: earlier.size ?? (size !== null && /^\d{1,15}$/.test(size) ? Number(size) : undefined),
  }
}

/** Drops a response whose body is not needed. */
export const dismiss = async ({ response, timer }: HubResponse): Promise<void> => {
  timer.stop()
  await response.body?.cancel()
}

export const stallTimer = ({ timeout, signal }: RequestContext): StallTimer => {
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
