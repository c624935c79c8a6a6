/** One question to the hub and its answer, redirects followed by hand: where they may lead, and who gets to see the token. */
import { InputError, inputError, reason } from '../../errors/inputError.js'

/** A server of models, as asked. */
export type RequestContext = {
  /** http(s)://HOST, without a slash at the end */
  readonly endpoint: string
  readonly token?: string
  readonly signal?: AbortSignal
  /** milliseconds of silence after which the server counts as gone */
  readonly patience: number
}

/** What the hub's own answer says of a file; the storage that it redirects to knows none of it. */
export type HubFileInfo = {
  readonly commit: string | undefined
  /** git's SHA-1 of a small file (40 hex digits) or the SHA-256 of a large one (64) */
  readonly hash: string | undefined
  /** bytes of the file, where the hub names a large file's size */
  readonly size: number | undefined
}

/** `clock` runs until stopped. */
export type HubResponse = { readonly response: Response; readonly facts: HubFileInfo; readonly clock: StallTimer }

/** Aborts after `patience` milliseconds without a call of `heard`. */
export type StallTimer = { readonly signal: AbortSignal; readonly heard: () => void; readonly stop: () => void }

const redirectLimit = 5

/**
 * Asks for `url` and follows redirects: at most five, from https to https only, and the token goes to the endpoint's own host alone.
 * Throws Mistake: no answer, silence, a redirect to elsewhere than the web.
 */
export const request = async (
  asking: RequestContext,
  url: string,
  method: 'GET' | 'HEAD',
  headers: Readonly<Record<string, string>> = {},
): Promise<HubResponse> => {
  const clock = silenceClock(asking)
  const home = new URL(asking.endpoint)
  let facts: HubFileInfo = { commit: undefined, hash: undefined, size: undefined }
  let at = new URL(url)
  try {
    for (let hop = 0; hop <= redirectLimit; hop++) {
      const response = await fetch(at, {
        method,
        redirect: 'manual',
        signal: clock.signal,
        headers: {
          ...headers,
          'accept-encoding': 'identity', // so that content-length counts the file's bytes
          ...(asking.token === undefined || at.origin !== home.origin ? {} : { authorization: `Bearer ${asking.token}` }),
        },
      })
      clock.heard()
      if (at.origin === home.origin) facts = merged(facts, response.headers)
      const location = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null
      if (location === null) return { response, facts, clock }
      await response.body?.cancel()
      at = nextAddress(location, at, url)
    }
    throw inputError(url, `at most ${redirectLimit} redirects`, 'more')
  } catch (thrown) {
    clock.stop()
    throw thrown instanceof InputError ? thrown : inputError(url, 'an answer from the hub', reasonOf(thrown, asking))
  }
}

/** What ended an answer, in words: silence by its name, anything else as it says itself. */
export const reasonOf = (thrown: unknown, { patience, signal }: RequestContext): string =>
  thrown instanceof Error && thrown.name === 'TimeoutError' && signal?.aborted !== true
    ? `silence for ${patience / 1000} s`
    : reason(thrown)

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

/** The first answer that names a thing counts. An ETag is a hash only if it looks like one; x-linked-… speak of the file behind a redirect. */
const merged = (known: HubFileInfo, headers: Headers): HubFileInfo => {
  const commit = headers.get('x-repo-commit')
  const tag = (headers.get('x-linked-etag') ?? headers.get('etag') ?? '').replace(/^W\//, '').replaceAll('"', '')
  const size = headers.get('x-linked-size')
  return {
    commit: known.commit ?? (commit !== null && /^[0-9a-f]{40}$/.test(commit) ? commit : undefined),
    hash: known.hash ?? (/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(tag) ? tag : undefined),
    size: known.size ?? (size !== null && /^\d{1,15}$/.test(size) ? Number(size) : undefined),
  }
}

/** The answer is not wanted any more. */
export const dismiss = async ({ response, clock }: HubResponse): Promise<void> => {
  clock.stop()
  await response.body?.cancel()
}

const silenceClock = ({ patience, signal }: RequestContext): StallTimer => {
  const own = new AbortController()
  const expire = (): void => own.abort(new DOMException('silence', 'TimeoutError'))
  let timer = setTimeout(expire, patience)
  const stop = (): void => clearTimeout(timer)
  return {
    signal: signal === undefined ? own.signal : AbortSignal.any([signal, own.signal]),
    heard: () => {
      stop()
      timer = setTimeout(expire, patience)
    },
    stop,
  }
}
