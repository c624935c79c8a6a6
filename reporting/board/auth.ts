/**
 * Who may ask the board for anything: whoever has the key, from a page of the board's own. The key never is in an address that is sent: the page
 * has it from the part behind # and puts it into a header, which no other page can do, and no browser by itself. So there is no cookie, which
 * browsers would send to every port of this machine, and nothing to forge.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export type Asked = { readonly method: string; readonly path: string; readonly headers: IncomingHttpHeaders }

export type Refusal = { readonly status: 400 | 403 | 404 | 405; readonly line: string }

/** What holds nothing of the folder: the page itself, its script and its style. */
export const openPaths: ReadonlySet<string> = new Set(['/', '/board.js', '/board.css'])
/** What does, and how it is asked for. */
const keyedPaths: Readonly<Record<string, string>> = { '/live': 'GET', '/stop': 'POST' }

/** Another name that leads to this machine is an attack by name service; another port may be an SSH tunnel's. */
const isHere = (host: string): boolean => /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/.test(host)

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Why it is refused; null: it is not. */
export const refusalOf = ({ method, path, headers }: Asked, key: string): Refusal | null => {
  if (method !== 'GET' && method !== 'POST') return { status: 405, line: 'expected GET or POST' }
  const host = headers.host ?? ''
  if (!isHere(host)) return { status: 403, line: 'expected the board to be asked as 127.0.0.1 or localhost' }
  const { origin } = headers
  if (origin !== undefined && origin !== `http://${host}`) return { status: 403, line: 'expected to be asked by the board’s own page' }
  const site = headers['sec-fetch-site']
  const own = site === undefined || site === 'same-origin'
  if (openPaths.has(path)) return method === 'GET' ? null : { status: 405, line: 'expected GET' }
  const expected = keyedPaths[path]
  if (expected === undefined) return { status: 404, line: 'there is nothing of that name' }
  if (method !== expected) return { status: 405, line: `expected ${expected}` }
  if (!own) return { status: 403, line: 'expected to be asked by the board’s own page' }
  if (method === 'POST' && origin === undefined) return { status: 403, line: 'expected to be asked by the board’s own page' }
  if (method === 'POST' && headers['content-type'] !== 'application/json') return { status: 400, line: 'expected JSON' }
  const [, given = ''] = /^Bearer ([0-9a-f]{64})$/.exec(headers.authorization ?? '') ?? []
  return timingSafeEqual(digest(given), digest(key)) ? null : { status: 403, line: 'expected the key of this board' }
}
