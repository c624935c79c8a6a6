/**
 * The board as a server on this machine alone: a page, and a stream of events for each that looks at it. Nothing is read and nothing is drawn while
 * nobody looks; what a page is told is what has changed since it was told last, and a page that reads slowly is told less often.
 */
import { createHash, randomBytes } from 'node:crypto'
import { realpath, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { basename } from 'node:path'
import { mistake, reason } from '../../accelerated/files/mistake.js'
import { systemCode, systemMistake } from '../../accelerated/files/systemError.js'
import { shownText } from '../report/shownText.js'
import { boardPage } from './boardPage.js'
import { boardScript } from './boardScript.js'
import { boardStyle } from './boardStyle.js'
import { openCurveShelf } from './curves.js'
import { refusalOf } from './gate.js'
import { holderOf, stopHolder } from './holder.js'
import { openStudio, type Studio } from './pictures.js'
import { watchQueue, type QueueState, type WatchedQueue } from './queueState.js'
import { compareView, effectOf, runLine, runView, sweepLine, sweepView } from './views.js'
import { openWatch, type Watch, type WatchedRun } from './watch.js'

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

/** Milliseconds between two looks at the folder, and at the queue. */
const [interval, queueInterval] = [1_000, 2_000]
/** A look that took long is followed by so many times its time of rest. */
const restAfterLook = 3
/** Pages at once; runs side by side: what can be told apart; bytes of what a page sends. */
const [pageLimit, compareLimit, bodyLimit] = [16, 10, 1_000]
/** Milliseconds after which a page hears that the board is there, and after which one that does not read is let go. */
const [heartbeat, deaf] = [10_000, 60_000]

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
    throw systemMistake(given, 'a folder', thrown)
  })
  if (!(await stat(folder)).isDirectory()) throw mistake(given, 'a folder', 'a file')
  const queue = redis === null ? null : await watchQueue(redis)
  const key = randomBytes(32).toString('hex')
  const live = openLive(openWatch(folder), openStudio(openCurveShelf()), queue)
  const page = boardPage(shownText(basename(folder) || folder))
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
      reject(systemMistake(`--port ${port}`, 'a free port (--port 0 takes any)', thrown, found))
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

type View = { readonly kind: 'list' | 'run' | 'compare' | 'sweep'; readonly ids: ReadonlyArray<string> }

const viewOf = (given: URLSearchParams): View | null => {
  const kind = (['list', 'run', 'compare', 'sweep'] as const).find((one) => one === given.get('view'))
  const ids = given.getAll('id')
  const fits = kind === 'list' ? ids.length === 0 : kind === 'compare' ? ids.length <= compareLimit : ids.length === 1
  return kind === undefined || !fits ? null : { kind, ids: [...new Set(ids)] }
}

/** One page that looks. */
type Looker = {
  readonly view: View
  readonly response: ServerResponse
  /** digests of the parts that it was told */
  readonly told: Map<string, string>
  version: string | null
  busy: boolean
  heard: number
  since: number | null
}

type Live = {
  readonly hasRoom: () => boolean
  readonly follow: (response: ServerResponse, view: View) => void
  readonly stop: (id: string) => Promise<{ readonly stopped: boolean; readonly line: string }>
  readonly close: () => void
}

const openLive = (watch: Watch, studio: Studio, queue: WatchedQueue | null): Live => {
  const lookers = new Set<Looker>()
  let [queueState, problem]: [QueueState | null, string | null] = [null, null]
  const timers = new Map<string, NodeJS.Timeout>()
  let closed = false

  /** Does `work` again and again while somebody looks, one after another. */
  const keepOn = (name: string, every: number, rest: number, work: () => Promise<void>): void => {
    if (timers.has(name) || closed) return
    const turn = async (): Promise<void> => {
      const began = performance.now()
      await work().catch((thrown: unknown) => {
        problem = reason(thrown)
      })
      if (closed) return
      if (lookers.size === 0) timers.delete(name)
      else
        timers.set(
          name,
          setTimeout(() => void turn(), Math.max(every, rest * (performance.now() - began))),
        )
    }
    timers.set(
      name,
      setTimeout(() => void turn(), 0),
    )
  }

  const start = (): void => {
    keepOn('watch', interval, restAfterLook, async () => {
      await watch.refresh()
      problem = null
      for (const looker of lookers) void tell(looker)
    })
    keepOn('tell', interval, 0, async () => {
      for (const looker of lookers) void tell(looker)
    })
    if (queue !== null)
      keepOn('queue', queueInterval, restAfterLook, async () => {
        queueState = await queue.look()
      })
  }

  const tell = async (looker: Looker): Promise<void> => {
    const { response } = looker
    if (looker.busy || response.destroyed) return
    if (response.writableLength > 0) {
      looker.since ??= performance.now()
      if (performance.now() - looker.since > deaf) response.destroy()
      return // it has not read what it was told: nothing is heaped up for it
    }
    looker.since = null
    looker.busy = true
    try {
      const parts = await partsFor(looker)
      const names = new Set(parts.map(([name]) => name))
      for (const name of looker.told.keys()) if (name.startsWith('run ') && !names.has(name)) looker.told.delete(name) // it may come back
      const fresh = parts.filter(([name, value]) => {
        const digest = createHash('sha1').update(JSON.stringify(value)).digest('base64')
        if (looker.told.get(name) === digest) return false
        looker.told.set(name, digest)
        return true
      })
      const beats = performance.now() - looker.heard > heartbeat
      if (fresh.length === 0 && !beats) return
      looker.heard = performance.now()
      response.write(fresh.length === 0 ? ': still here\n\n' : `data: ${JSON.stringify(Object.fromEntries(fresh))}\n\n`)
    } catch (thrown) {
      problem = reason(thrown)
    } finally {
      looker.busy = false
    }
  }

  const partsFor = async (looker: Looker): Promise<ReadonlyArray<readonly [string, unknown]>> => {
    const { kind, ids } = looker.view
    const runs = watch.runs()
    const about = ['about', { problem: problem ?? watch.more(), queue: queueState }] as const
    if (kind === 'list') {
      const lines = [...runs.values()].map(runLine)
      return [
        about,
        ['sweeps', [...watch.sweeps().values()].map(sweepLine)],
        ['order', lines.map(({ id }) => id)],
        ...lines.map((line) => [`run ${line.id}`, line] as const),
      ]
    }
    if (kind === 'sweep') {
      const sweep = watch.sweeps().get(ids[0] ?? '')
      return [about, ['sweep', sweep === undefined ? null : sweepView(sweep)]]
    }
    const shown = ids.flatMap((id) => runs.get(id) ?? [])
    const [first] = shown
    const text =
      kind === 'compare'
        ? (['compare', compareView(shown)] as const)
        : (['run', first === undefined ? null : runView(first, first.state === 'running' ? await holderOf(first.folder) : null)] as const)
    return [about, text, ...(await pictureParts(looker, shown))]
  }

  const pictureParts = async (looker: Looker, shown: ReadonlyArray<WatchedRun>): Promise<ReadonlyArray<readonly [string, unknown]>> => {
    const drawn = shown.length === 0 ? null : await studio.draw(shown, looker.version)
    if (drawn === null) return []
    looker.version = drawn.version
    return [
      ['figures', { names: drawn.pictures.map(({ name }) => name), odd: drawn.odd.map(shownText) }],
      ...drawn.pictures.map((picture) => [`figure ${picture.name}`, picture] as const),
    ]
  }

  return {
    hasRoom: () => lookers.size < pageLimit,
    follow: (response, view) => {
      const looker: Looker = { view, response, told: new Map(), version: null, busy: false, heard: performance.now(), since: null }
      lookers.add(looker)
      response.on('close', () => lookers.delete(looker))
      response.write(': the board\n\n')
      start()
      void tell(looker)
    },
    stop: async (id) => {
      if (!watch.runs().has(id)) await watch.refresh() // nobody looked yet
      const run = watch.runs().get(id)
      if (run === undefined) return { stopped: false, line: 'there is no such run here' }
      const holder = await stopHolder(run.folder)
      return typeof holder === 'string'
        ? { stopped: false, line: `it was not stopped: ${holder}` }
        : { stopped: true, line: `It was told to stop. ${effectOf(holder, run)}` }
    },
    close: () => {
      closed = true
      for (const timer of timers.values()) clearTimeout(timer)
      for (const { response } of lookers) response.destroy()
    },
  }
}
