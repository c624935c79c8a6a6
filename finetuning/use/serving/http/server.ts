/** The HTTP server of runs, or of a base and its adapters: opens them in one thread, listens on this machine, and stops after the requests that run. */
import type { Server } from 'node:http'
import { basename, resolve } from 'node:path'
import { serve } from '@hono/node-server'
import { inputError, reason } from '../../../../accelerated/errors/inputError.js'
import { systemCode, systemInputError } from '../../../../accelerated/errors/systemError.js'
import { option, words } from '../../../../accelerated/errors/words.js'
import { absoluteModel } from '../../../run/absolutePath.js'
import { openRuns, type ServedRuns } from '../openRuns.js'
import type { BaseOptions, RunInfo } from '../protocol.js'
import type { MachineChoice } from '../../runSource.js'
import type { ThreadNotes } from '../threadCalls.js'
import { type AdapterOptions, checkAdapterName, noAdapters, now, servedAdapters, type ServedModel } from './adapters.js'
import { servingApp, type ServingApp } from './app.js'
import { defaultLimits, type Limits } from './limits.js'

/** A base that is in memory once, and its adapters by the names that clients use; the base has the last name of its path. */
export type ServedBase = Pick<BaseOptions, 'model' | 'maxRank'> & AdapterOptions & { readonly adapters: Readonly<Record<string, string>> }

export type RunServerOptions = {
  /** run folders, each under the last name of its path */
  readonly runs: readonly string[]
  readonly base?: ServedBase | undefined
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
  { runs: folders, base, machine = {}, host = '127.0.0.1', port = 0, limits = {}, origins = [] }: RunServerOptions,
  notes: ThreadNotes = {},
): Promise<RunServer> => {
  const sources = Object.entries(base?.adapters ?? {}).map(([name, path]) => [checkAdapterName(name), { path, scale: 1 }] as const)
  const baseName = base === undefined ? [] : [basename(resolve(base.model))]
  const names = checkNames([...folders.map((folder) => basename(resolve(folder))), ...baseName, ...sources.map(([name]) => name)])
  const adapters = sources.map(([, source]) => source)
  const shared = base === undefined ? undefined : { model: absoluteModel(base.model), maxRank: base.maxRank, adapters }
  const opened = await openRuns({ runs: folders, machine, base: shared }, notes)
  const models = new Map<string, ServedModel>()
  opened.runs.forEach((run, i) => {
    const source = adapters[i - folders.length - 1]
    const ofBase = source === undefined ? {} : { source, parent: baseName[0] ?? '' }
    if (run !== null) models.set(names[i] ?? '', { run, created: now(), ...ofBase })
  })
  const changing = base === undefined ? noAdapters : servedAdapters(models, baseName[0] ?? '', opened.attach, base)
  const app = servingApp({ models, adapters: changing, limits: { ...defaultLimits, ...limits }, isLocal: loopback.includes(host), origins })
  try {
    const server = await listening(app, host, port)
    return runServer(server, app, opened, models, host)
  } catch (thrown) {
    await opened.release()
    throw thrown
  }
}

/** @throws InputError if two have the same name */
const checkNames = (names: readonly string[]): readonly string[] => {
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
  models: ReadonlyMap<string, ServedModel>,
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
    runs: new Map([...models].map(([name, { run }]) => [name, run.info])),
    died: opened.died,
    close: () => (closing ??= closeNow()),
  }
}
