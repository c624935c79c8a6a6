/**
 * The board: a server on this machine with a page, an event stream for each open page, and a request that stops a run.
 *
 * This folder watches running and finished runs. It changes nothing but runs that a reader stops. Charts belong in charts/.
 */
import { randomBytes } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { basename } from 'node:path'
import { z } from 'zod'
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemCode, systemInputError } from '../../accelerated/errors/systemError.js'
import { readPageFiles } from '../report/pageFiles.js'
import { escapeText, html } from '../text/html.js'
import { rejectionOf } from './auth.js'
import { openContent } from './content.js'
import { openCurveCache } from './curveCache.js'
import { compareLimit, viewKinds, type SentenceAnswer, type View } from './events.js'
import { clientLimit, openEventStream, type EventStream } from './eventStream.js'
import { sentenceLimit } from './sentenceModel.js'
import { watchQueue } from './queueState.js'
import { openWatch } from './watch.js'

export type BoardOptions = {
  readonly folder: string
  /** 0: any free port */
  readonly port: number
  /** also show the queue at this address */
  readonly redis: string | null
}

export type Board = {
  readonly folder: string
  readonly port: number
  /** contains the token: anyone who has this URL sees all runs and can stop them */
  readonly url: string
  readonly close: () => Promise<void>
}

/** Maximum bytes of a request's body, and of one with a sentence. */
const [bodyLimit, sentenceBytes] = [1_000, 8 * sentenceLimit]

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

/** @throws InputError if `folder` is not a folder, the port is in use, or `redis` is not the address of a Redis server */
export const startBoard = async ({ folder: path, port, redis }: BoardOptions): Promise<Board> => {
  const folder = await resolveFolder(path)
  const { script, style } = await readPageFiles('board')
  const queue = redis === null ? null : await watchQueue(redis)
  const token = randomBytes(32).toString('hex')
  const stream = openEventStream(openWatch(folder), openContent(openCurveCache()), queue)
  const files = new Map<string, StaticFile>([
    ['/', { type: 'text/html', text: pageHtml(escapeText(basename(folder) || folder)) }],
    ['/board.js', { type: 'text/javascript', text: script }],
    ['/board.css', { type: 'text/css', text: style }],
  ])
  const server = newServer({ token, files, stream })
  try {
    await listen(server, port)
  } catch (thrown) {
    await queue?.close()
    throw thrown
  }
  const address = server.address()
  const actualPort = typeof address === 'object' && address !== null ? address.port : port
  return {
    folder,
    port: actualPort,
    url: `http://127.0.0.1:${actualPort}/#token=${token}`,
    close: async () => {
      const released = stream.close()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
      await released
      await queue?.close()
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

type StaticFile = { readonly type: string; readonly text: string }
type Context = { readonly token: string; readonly files: ReadonlyMap<string, StaticFile>; readonly stream: EventStream }

/** Milliseconds for a request, and between the looks at which one takes longer. Node's own are 60 and 30 seconds. */
const [slowest, lookEvery] = [10_000, 1_000]

/** Connections that have not shown the token yet. The oldest gives way to a new one, so that silent ones never lock the owner out. */
const strangerLimit = 2 * clientLimit

const newServer = (context: Context): Server => {
  const strangers = new Set<Socket>()
  const server = createServer(
    { maxHeaderSize: 8_192, requestTimeout: slowest, headersTimeout: slowest, connectionsCheckingInterval: lookEvery },
    (request, response) => {
      respond(request, response, context, () => strangers.delete(request.socket)).catch((thrown: unknown) =>
        answer(response, 500, reason(thrown)),
      )
    },
  )
  server.maxConnections = 4 * clientLimit
  server.on('connection', (socket) => {
    strangers.add(socket)
    socket.once('close', () => strangers.delete(socket))
    const [oldest] = strangers
    if (strangers.size > strangerLimit) oldest?.destroy()
  })
  server.on('clientError', (_, socket) => socket.destroy())
  return server
}

const listen = (server: Server, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (thrown) => {
      const got = systemCode(thrown) === 'EADDRINUSE' ? 'one in use' : reason(thrown)
      reject(systemInputError(`--port ${port}`, 'a free port (--port 0 takes any)', thrown, got))
    })
    server.listen({ host: '127.0.0.1', port }, () => resolve())
  })

/** Answers with one line, as JSON. */
const answer = (response: ServerResponse, status: number, message: string, more: Omit<SentenceAnswer, 'message'> = {}): void => {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const body: SentenceAnswer = { message, ...more }
  response.writeHead(status, { ...securityHeaders, 'Content-Type': 'application/json; charset=utf-8' }).end(`${JSON.stringify(body)}\n`)
}

/** @param hasToken called for a request that shows the token */
const respond = async (
  request: IncomingMessage,
  response: ServerResponse,
  { token, files, stream }: Context,
  hasToken: () => void,
): Promise<void> => {
  const [path, base] = [request.url ?? '', 'http://127.0.0.1']
  const url = URL.canParse(path, base) ? new URL(path, base) : null
  const rejection =
    url === null
      ? { status: 400, message: 'expected a URL' }
      : rejectionOf({ method: request.method ?? '', path: url.pathname, headers: request.headers }, token)
  if (rejection !== null || url === null) {
    response.setHeader('Connection', 'close') // do not wait for the rest of the request
    return answer(response, rejection?.status ?? 400, rejection?.message ?? '')
  }
  const file = files.get(url.pathname)
  if (file !== undefined) {
    response.writeHead(200, { ...securityHeaders, 'Content-Type': `${file.type}; charset=utf-8` }).end(file.text)
    return
  }
  hasToken()
  if (url.pathname === '/stop') {
    const { isStopped, message } = await stream.stopRun(idIn(await bodyOf(request)))
    return answer(response, isStopped ? 200 : 409, message)
  }
  if (url.pathname === '/predict') return answerSentence(request, response, stream)
  const view = viewOf(url.searchParams)
  if (view === null) return answer(response, 400, `expected a view with at most ${compareLimit} runs`)
  if (!stream.hasCapacity()) return answer(response, 503, `expected at most ${clientLimit} open pages; close one`)
  response.writeHead(200, { ...securityHeaders, 'Content-Type': 'text/event-stream; charset=utf-8' })
  stream.addClient(response, view)
}

/** @throws Error if the body is too long */
const bodyOf = async (request: IncomingMessage, limit = bodyLimit): Promise<string> => {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    length += (chunk as Buffer).length
    if (length > limit) throw new Error(`expected at most ${limit} bytes`)
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks).toString()
}

const sentenceSchema = z.object({
  id: z.string().max(100),
  text: z.string().trim().min(1).max(sentenceLimit),
  textPair: z.string().trim().min(1).max(sentenceLimit).optional(),
})

const answerSentence = async (request: IncomingMessage, response: ServerResponse, stream: EventStream): Promise<void> => {
  const body = await bodyOf(request, sentenceBytes)
  const { success, data } = sentenceSchema.safeParse(jsonIn(body))
  if (!success) return answer(response, 400, `expected a text of 1 to ${sentenceLimit} characters`)
  const { id, text, textPair } = data
  try {
    const prediction = await stream.classify(id, textPair === undefined ? { text } : { text, textPair })
    answer(response, 200, '', { prediction })
  } catch (thrown) {
    answer(response, 409, reason(thrown))
  }
}

const jsonIn = (body: string): unknown => {
  try {
    return JSON.parse(body)
  } catch {
    return null
  }
}

const idIn = (body: string): string => z.object({ id: z.string() }).safeParse(jsonIn(body)).data?.id ?? ''

const viewOf = (query: URLSearchParams): View | null => {
  const kind = viewKinds.find((one) => one === query.get('view'))
  const ids = query.getAll('id')
  const isValid = kind === 'list' ? ids.length === 0 : kind === 'compare' ? ids.length <= compareLimit : ids.length === 1
  return kind === undefined || !isValid ? null : { kind, ids: [...new Set(ids)] }
}
