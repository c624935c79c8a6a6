/** The HTTP server of runs: opens them in one thread, listens on this machine, and stops after the requests that run. */
import type { Server } from 'node:http'
import { basename, resolve } from 'node:path'
import { serve } from '@hono/node-server'
import { inputError, reason } from '../../../../accelerated/errors/inputError.js'
import { systemCode, systemInputError } from '../../../../accelerated/errors/systemError.js'
import { option, words } from '../../../../accelerated/errors/words.js'
import { openRuns, type ServedRun, type ServedRuns } from '../openRuns.js'
import type { RunInfo } from '../protocol.js'
import type { MachineChoice } from '../../runSource.js'
import type { ThreadNotes } from '../threadCalls.js'
import { servingApp, type ServingApp } from './app.js'
import { defaultLimits, type Limits } from './limits.js'

export type RunServerOptions = {
  /** run folders, each under the last name of its path */
  readonly runs: readonly string[]
  readonly machine?: MachineChoice
  /** 127.0.0.1 by default: only this machine reaches it */
  readonly host?: string
  /** 0: any free port */
  readonly port?: number
  readonly limits?: Partial<Limits>
  /** Pages of other machines that may use a server that is for this one, by their origin. */
  readonly origins?: readonly string[]
}

export type RunServer = {
  readonly url: string
  readonly runs: ReadonlyMap<string, RunInfo>
  /** Accepts no more requests, finishes those that run, and frees everything. It may be called twice. */
  readonly close: () => Promise<void>
  /** Resolves with the reason if the thread of the runs dies, or if the files of a model have changed. */
  readonly died: Promise<Error>
}

/** Milliseconds that a connection may stay after the last answer, once the server stops. */
const lingerTime = 2_000

const loopback = ['127.0.0.1', 'localhost', '::1']

/** @throws InputError, SettingsError or DeviceError with one line if a run does not open or the port is in use */
export const startRunServer = async (
  { runs: folders, machine = {}, host = '127.0.0.1', port = 0, limits = {}, origins = [] }: RunServerOptions,
  notes: ThreadNotes = {},
): Promise<RunServer> => {
  const names = nameRuns(folders)
  const opened = await openRuns({ runs: folders, machine }, notes)
  const runs = new Map(opened.runs.map((run, i) => [names[i] ?? '', run]))
  const app = servingApp({ runs, limits: { ...defaultLimits, ...limits }, isLocal: loopback.includes(host), origins })
  try {
    const server = await listening(app, host, port)
    return runServer(server, app, opened, runs, host)
  } catch (thrown) {
    await opened.release()
    throw thrown
  }
}

/** @throws InputError if two runs have the same name */
const nameRuns = (folders: readonly string[]): readonly string[] => {
  const names = folders.map((folder) => basename(resolve(folder)))
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw inputError(twice, 'runs whose folders have different names', 'two of this name')
  return names
}

const listening = (app: ServingApp, host: string, port: number): Promise<Server> =>
  new Promise((done, fail) => {
    const server = serve(
      {
        fetch: app.fetch,
        hostname: host,
        port,
        serverOptions: {
          maxHeaderSize: 16_384,
          headersTimeout: 10_000,
          requestTimeout: 30_000,
          keepAliveTimeout: 5_000,
          connectionsCheckingInterval: 1_000,
        },
      },
      () => done(server),
    ) as Server
    server.maxConnections = 1_024
    server.once('error', (thrown) => {
      const code = systemCode(thrown) ?? ''
      if (code === 'EADDRNOTAVAIL' || (thrown as NodeJS.ErrnoException).syscall === 'getaddrinfo')
        return fail(
          systemInputError(
            words`${option('host')} ${host}`,
            'an address of this machine (127.0.0.1, or 0.0.0.0 for all of them)',
            thrown,
            'another',
          ),
        )
      const got = code === 'EADDRINUSE' ? 'one in use' : reason(thrown)
      return fail(systemInputError(words`${option('port')} ${port}`, words`a free port (${option('port')} 0 takes any)`, thrown, got))
    })
  })

const runServer = (
  server: Server,
  { places }: ServingApp,
  opened: ServedRuns,
  runs: ReadonlyMap<string, ServedRun>,
  host: string,
): RunServer => {
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  let closing: Promise<void> | null = null
  const closeNow = async (): Promise<void> => {
    places.close()
    const closed = new Promise<void>((done) => server.close(() => done()))
    server.closeIdleConnections()
    await opened.release()
    server.closeIdleConnections() // those whose request has just ended
    // a client that does not read its answer, or sends half of a request, must not keep the server
    const timer = setTimeout(() => server.closeAllConnections(), lingerTime)
    await closed
    clearTimeout(timer)
  }
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    runs: new Map([...runs].map(([name, { info }]) => [name, info])),
    died: opened.died,
    close: () => (closing ??= closeNow()),
  }
}
