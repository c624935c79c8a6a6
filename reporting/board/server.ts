/**
 * The board: a server on this machine with a page, an event stream for each open page, and a request that stops a run.
 *
 * This folder watches running and finished runs. It changes nothing but runs that a reader stops. Charts belong in charts/.
 */
import { randomBytes, createHash, timingSafeEqual } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import type { Server, IncomingHttpHeaders } from 'node:http'
import type { Socket } from 'node:net'
import { basename } from 'node:path'
import { serve, type HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { streamSSE } from 'hono/streaming'
import { z } from 'zod'
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemCode, systemInputError } from '../../accelerated/errors/systemError.js'
import { readPageFiles } from '../report/pageFiles.js'
import { escapeText, html } from '../text/html.js'
import { compareLimit, viewKinds, type View } from './events.js'
import { clientLimit, openPages, type Pages } from './pages.js'
import { stopRunProcess } from './runProcess.js'
import { stopEffect } from './views.js'
import { openSentenceModel, sentenceLimit, type SentenceModel } from './sentenceModel.js'
import { openWatch, type Watch } from './watch.js'

export type BoardOptions = {
  readonly folder: string
  /** 0: any free port */
  readonly port: number
}

export type Board = {
  readonly folder: string
  readonly port: number
  /** contains the token: anyone who has this URL sees all runs and can stop them */
  readonly url: string
  readonly close: () => Promise<void>
}

/** Maximum bytes of a request that stops a run, and of one with a sentence. */
const [stopBytes, sentenceBytes] = [1_000, 8 * sentenceLimit]

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const securityHeaders = {
  'Content-Security-Policy': policy,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-store',
} as const

/** @throws InputError if `folder` is not a folder, or the port is in use */
export const startBoard = async ({ folder: path, port }: BoardOptions): Promise<Board> => {
  const folder = await resolveFolder(path)
  const { script, style } = await readPageFiles('board')
  const [token, watch, model, strangers] = [randomBytes(32).toString('hex'), openWatch(folder), openSentenceModel(), new Set<Socket>()]
  const files = {
    '/': { type: 'text/html', text: pageHtml(escapeText(basename(folder) || folder)) },
    '/board.js': { type: 'text/javascript', text: script },
    '/board.css': { type: 'text/css', text: style },
  }
  const app = boardApp({ token, files, watch, model, pages: openPages(watch), onToken: (socket) => strangers.delete(socket) })
  const server = await listen(app.fetch, port, strangers)
  const address = server.address()
  const actualPort = typeof address === 'object' && address !== null ? address.port : port
  return {
    folder,
    port: actualPort,
    url: `http://127.0.0.1:${actualPort}/#token=${token}`,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await Promise.all([closed, model.close()])
    },
  }
}

/** It contains nothing of the folder but its name, and loads the board's script and style. */
const pageHtml = (name: string): string =>
  html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>salora board: ${name}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="board.css"></head>
<body class="board"><header><h1><a href="#/">salora board: ${name}</a></h1><p id="status" role="status">connecting …</p></header>
<main id="main" tabindex="-1"></main><noscript><p>The board needs JavaScript.</p></noscript>
<script src="board.js"></script></body></html>
`.html

const resolveFolder = async (path: string): Promise<string> => {
  const folder = await realpath(path).catch((thrown: unknown) => {
    throw systemInputError(path, 'a folder', thrown, isAbsent(thrown) ? 'none' : reason(thrown))
  })
  if (!(await stat(folder)).isDirectory()) throw inputError(path, 'a folder', 'a file')
  return folder
}

/** Milliseconds for a request, and between the looks at which one takes longer. Node's own are 60 and 30 seconds. */
const [slowest, lookEvery] = [10_000, 1_000]

/** Connections that have not shown the token yet. The oldest gives way to a new one, so that silent ones never lock the owner out. */
const strangerLimit = 2 * clientLimit

const listen = (fetch: Hono<Node>['fetch'], port: number, strangers: Set<Socket>): Promise<Server> =>
  new Promise((resolve, reject) => {
    const times = { requestTimeout: slowest, headersTimeout: slowest, connectionsCheckingInterval: lookEvery }
    const options = { fetch, hostname: '127.0.0.1', port, serverOptions: { maxHeaderSize: 8_192, ...times } }
    const server = serve(options, () => resolve(server)) as Server
    server.maxConnections = 4 * clientLimit
    server.on('connection', (socket) => {
      strangers.add(socket)
      socket.once('close', () => strangers.delete(socket))
      const [oldest] = strangers
      if (strangers.size > strangerLimit) oldest?.destroy()
    })
    server.on('clientError', (_, socket) => socket.destroy())
    server.once('error', (thrown) => {
      const got = systemCode(thrown) === 'EADDRINUSE' ? 'one in use' : reason(thrown)
      reject(systemInputError(`--port ${port}`, 'a free port (--port 0 takes any)', thrown, got))
    })
  })

type Node = { readonly Bindings: HttpBindings }

type Context = {
  readonly token: string
  readonly files: Readonly<Record<string, { readonly type: string; readonly text: string }>>
  readonly watch: Watch
  readonly model: SentenceModel
  readonly pages: Pages
  /** called with the connection of a request that shows the token */
  readonly onToken: (socket: Socket) => void
}

const boardApp = ({ token, files, watch, model, pages, onToken }: Context): Hono<Node> => {
  const app = new Hono<Node>()
  app.use(async (c, next) => {
    const { incoming } = c.env
    const rejection = findRejection({ method: c.req.method, path: c.req.path, headers: incoming.headers }, token)
    if (rejection === null && !(c.req.path in files)) onToken(incoming.socket)
    if (rejection === null) await next()
    else c.res = c.json({ message: rejection.message }, rejection.status, { Connection: 'close' }) // do not wait for the rest of the request
    for (const [name, value] of Object.entries(securityHeaders)) c.res.headers.set(name, value)
  })
  app.onError((thrown, c) => c.json({ message: reason(thrown) }, 500))
  for (const [path, { type, text }] of Object.entries(files))
    app.get(path, (c) => c.body(text, 200, { 'Content-Type': `${type}; charset=utf-8` }))
  app.post('/stop', atMost(stopBytes), async (c) => {
    const { data } = z.object({ id: z.string() }).safeParse(await readJson(c))
    const { isStopped, message } = await stopRun(watch, data?.id ?? '')
    return c.json({ message }, isStopped ? 200 : 409)
  })
  app.post('/predict', atMost(sentenceBytes), async (c) => {
    const { data } = sentenceSchema.safeParse(await readJson(c))
    if (data === undefined) return c.json({ message: `expected a text of 1 to ${sentenceLimit} characters` }, 400)
    const { id, ...sentence } = data
    const run = watch.runs().get(id)
    const unknown = inputError('the board', 'a run of this folder', 'an unknown one').message
    if (run === undefined) return c.json({ message: unknown }, 409)
    const [prediction, problem] = await model.classify(run, sentence).then(
      (one) => [one, null] as const,
      (thrown) => [null, reason(thrown)] as const,
    )
    return prediction === null ? c.json({ message: problem }, 409) : c.json({ message: '', prediction })
  })
  app.get('/events', (c) => {
    const view = parseView(new URL(c.req.url).searchParams)
    if (view === null) return c.json({ message: `expected a view with at most ${compareLimit} runs` }, 400)
    if (!pages.hasCapacity()) return c.json({ message: `expected at most ${clientLimit} open pages; close one` }, 503)
    return streamSSE(c, (stream) => pages.serve(stream, view, () => c.env.outgoing.destroy()))
  })
  return app
}

const atMost = (maxSize: number) =>
  bodyLimit({ maxSize, onError: (c) => c.json({ message: `expected at most ${maxSize} bytes` }, 413, { Connection: 'close' }) })

const readJson = (c: { readonly req: { readonly json: () => Promise<unknown> } }): Promise<unknown> => c.req.json().catch(() => null)

const sentenceSchema = z.object({
  id: z.string().max(100),
  text: z.string().trim().min(1).max(sentenceLimit),
  textPair: z.string().trim().min(1).max(sentenceLimit).exactOptional(),
})

const stopRun = async (watch: Watch, id: string): Promise<{ readonly isStopped: boolean; readonly message: string }> => {
  if (!watch.runs().has(id)) await watch.refresh() // no page has been open yet
  const run = watch.runs().get(id)
  if (run === undefined) return { isStopped: false, message: 'unknown run' }
  const stopped = await stopRunProcess(run.folder)
  return typeof stopped === 'string'
    ? { isStopped: false, message: `not stopped: ${stopped}` }
    : { isStopped: true, message: `Stopping. ${stopEffect(stopped, run)}` }
}

const parseView = (query: URLSearchParams): View | null => {
  const kind = viewKinds.find((one) => one === query.get('view'))
  const ids = query.getAll('id')
  const isValid = kind === 'list' ? ids.length === 0 : kind === 'compare' ? ids.length <= compareLimit : ids.length === 1
  return kind === undefined || !isValid ? null : { kind, ids: [...new Set(ids)] }
}

/**
 * Authorizes requests to the board. A request needs the token, and must come from the board's own page.
 *
 * The token is never part of a URL that is sent: the page takes it from behind the # and sends it in a header. Other pages cannot do this,
 * and browsers never do it on their own. There is no cookie, which browsers would send to every port of this machine.
 */
type BoardRequest = { readonly method: string; readonly path: string; readonly headers: IncomingHttpHeaders }

type Rejection = { readonly status: 400 | 403 | 404 | 405; readonly message: string }

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
const findRejection = ({ method, path, headers }: BoardRequest, token: string): Rejection | null => {
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
