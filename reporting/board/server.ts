/** The board as a server on this machine alone: a page, a stream of events for each that looks at it, and a request to stop a run. */
import { randomBytes } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { basename } from 'node:path'
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemCode, systemInputError } from '../../accelerated/errors/systemError.js'
import { escapeText } from '../charts/escapeText.js'
import { boardPage } from './page/boardPage.js'
import { boardScript } from './page/boardScript.js'
import { boardStyle } from './page/boardStyle.js'
import { openCurveShelf } from './curveCache.js'
import { refusalOf } from './auth.js'
import { openLive, pageLimit, type Live, type View } from './eventStream.js'
import { openStudio } from './chartCache.js'
import { watchQueue } from './queueState.js'
import { openWatch } from './watch.js'

export type BoardOptions = {
  readonly folder: string
  /** 0: any that is free */
  readonly port: number
  /** also tell of the queue there */
  readonly redis: string | null
}

export type Board = {
  readonly folder: string
  readonly port: number
  /** with the key: whoever has it sees everything and may stop runs */
  readonly url: string
  readonly close: () => Promise<void>
}

/** Runs side by side: what can be told apart; bytes of what a page sends. */
const [compareLimit, bodyLimit] = [10, 1_000]

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const headers = {
  'Content-Security-Policy': policy,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'X-Frame-Options': 'DENY',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-store',
} as const

/** @throws Mistake for what is no folder, a port that is not to be had, or what is no address of a Redis */
export const startBoard = async ({ folder: given, port, redis }: BoardOptions): Promise<Board> => {
  const folder = await realpath(given).catch((thrown: unknown) => {
    throw systemInputError(given, 'a folder', thrown, isAbsent(thrown) ? 'none there' : reason(thrown))
  })
  if (!(await stat(folder)).isDirectory()) throw inputError(given, 'a folder', 'a file')
  const queue = redis === null ? null : await watchQueue(redis)
  const key = randomBytes(32).toString('hex')
  const live = openLive(openWatch(folder), openStudio(openCurveShelf()), queue)
  const page = boardPage(escapeText(basename(folder) || folder))
  const server = createServer({ maxHeaderSize: 8_192, requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) => {
    answer(request, response, { key, page, live }).catch((thrown: unknown) => say(response, 500, reason(thrown)))
  })
  server.maxConnections = 4 * pageLimit
  server.on('clientError', (_, socket) => socket.destroy())
  try {
    await listening(server, port)
  } catch (thrown) {
    await queue?.close()
    throw thrown
  }
  const address = server.address()
  const taken = typeof address === 'object' && address !== null ? address.port : port
  return {
    folder,
    port: taken,
    url: `http://127.0.0.1:${taken}/#key=${key}`,
    close: async () => {
      live.close()
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
      await queue?.close()
    },
  }
}

const listening = (server: Server, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (thrown) => {
      const found = systemCode(thrown) === 'EADDRINUSE' ? 'one in use' : reason(thrown)
      reject(systemInputError(`--port ${port}`, 'a free port (--port 0 takes any)', thrown, found))
    })
    server.listen({ host: '127.0.0.1', port }, () => resolve())
  })

const say = (response: ServerResponse, status: number, line: string): void => {
  if (response.headersSent) {
    response.destroy()
    return
  }
  response.writeHead(status, { ...headers, 'Content-Type': 'application/json; charset=utf-8' }).end(`${JSON.stringify({ line })}\n`)
}

type Context = { readonly key: string; readonly page: string; readonly live: Live }

const answer = async (request: IncomingMessage, response: ServerResponse, { key, page, live }: Context): Promise<void> => {
  const method = request.method ?? ''
  const url = URL.canParse(request.url ?? '', 'http://127.0.0.1') ? new URL(request.url ?? '', 'http://127.0.0.1') : null
  const refusal =
    url === null
      ? ({ status: 400, line: 'expected an address' } as const)
      : refusalOf({ method, path: url.pathname, headers: request.headers }, key)
  if (refusal !== null || url === null) {
    response.setHeader('Connection', 'close') // what else it sends is not waited for
    return say(response, refusal?.status ?? 400, refusal?.line ?? '')
  }
  const file = (type: string, text: string): void => {
    response.writeHead(200, { ...headers, 'Content-Type': `${type}; charset=utf-8` }).end(text)
  }
  switch (url.pathname) {
    case '/':
      return file('text/html', page)
    case '/board.js':
      return file('text/javascript', boardScript)
    case '/board.css':
      return file('text/css', boardStyle)
    case '/stop': {
      const id = idIn(await bodyOf(request))
      const told = await live.stop(id)
      return say(response, told.stopped ? 200 : 409, told.line)
    }
    default: {
      const view = viewOf(url.searchParams)
      if (view === null) return say(response, 400, `expected a view, with at most ${compareLimit} runs`)
      if (!live.hasRoom()) return say(response, 503, `expected at most ${pageLimit} pages at once: close one`)
      response.writeHead(200, { ...headers, 'Content-Type': 'text/event-stream; charset=utf-8' })
      live.follow(response, view)
    }
  }
}

/** @throws an error for a body that is too long */
const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of request) {
    length += (piece as Buffer).length
    if (length > bodyLimit) throw new Error(`expected at most ${bodyLimit} bytes`)
    pieces.push(piece as Buffer)
  }
  return Buffer.concat(pieces).toString()
}

const idIn = (body: string): string => {
  try {
    const { id } = JSON.parse(body) as { readonly id?: unknown }
    return typeof id === 'string' ? id : ''
  } catch {
    return ''
  }
}

const viewOf = (given: URLSearchParams): View | null => {
  const kind = (['list', 'run', 'compare', 'sweep'] as const).find((one) => one === given.get('view'))
  const ids = given.getAll('id')
  const fits = kind === 'list' ? ids.length === 0 : kind === 'compare' ? ids.length <= compareLimit : ids.length === 1
  return kind === undefined || !fits ? null : { kind, ids: [...new Set(ids)] }
}
