/**
 * Authorizes requests to the board. A request needs the token, and must come from the board's own page.
 *
 * The token is never part of a URL that is sent: the page takes it from behind the # and sends it in a header. Other pages cannot do this,
 * and browsers never do it on their own. There is no cookie, which browsers would send to every port of this machine.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export type BoardRequest = { readonly method: string; readonly path: string; readonly headers: IncomingHttpHeaders }

export type Rejection = { readonly status: 400 | 403 | 404 | 405; readonly message: string }

/** Paths without a token. They contain nothing of the folder but its name. */
const publicPaths: ReadonlySet<string> = new Set(['/', '/board.js', '/board.css'])
/** Paths that require the token, with their method. */
const protectedPaths: Readonly<Record<string, string>> = { '/events': 'GET', '/stop': 'POST', '/predict': 'POST' }

/** Another host name that resolves to this machine is a DNS rebinding attack. Another port may be an SSH tunnel. */
const isLocalHost = (host: string): boolean => /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/.test(host)

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

const hasToken = ({ authorization = '' }: IncomingHttpHeaders, token: string): boolean => {
  const [, sent = ''] = /^Bearer ([0-9a-f]{64})$/.exec(authorization) ?? []
  return timingSafeEqual(digest(sent), digest(token))
}

const otherPage: Rejection = { status: 403, message: "expected a request from the board's own page" }

/** @returns why the request is rejected; null if it is authorized */
export const findRejection = ({ method, path, headers }: BoardRequest, token: string): Rejection | null => {
  if (method !== 'GET' && method !== 'POST') return { status: 405, message: 'expected GET or POST' }
  const { host = '', origin, 'sec-fetch-site': site } = headers
  if (!isLocalHost(host)) return { status: 403, message: 'expected 127.0.0.1 or localhost as host' }
  if (origin !== undefined && origin !== `http://${host}`) return otherPage
  if (publicPaths.has(path)) return method === 'GET' ? null : { status: 405, message: 'expected GET' }
  const expected = protectedPaths[path]
  if (expected === undefined) return { status: 404, message: 'unknown path' }
  if (method !== expected) return { status: 405, message: `expected ${expected}` }
  if (site !== undefined && site !== 'same-origin') return otherPage
  if (method === 'POST' && origin === undefined) return otherPage
  if (method === 'POST' && headers['content-type'] !== 'application/json') return { status: 400, message: 'expected JSON' }
  return hasToken(headers, token) ? null : { status: 403, message: 'expected the token of this board' }
}
