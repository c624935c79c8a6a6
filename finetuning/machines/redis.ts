/**
 * Connections to Redis: its address (`redis://`, or `rediss://` with TLS), whether it answers, its outages and refusals, and closing. bullmq and
 * ioredis are optional peer dependencies, loaded when a queue is used.
 */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import { inputError, oneLine, quoted } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import { readText } from '../../accelerated/storage/text.js'
import { loadOptional } from '../../accelerated/storage/packages.js'
import type { QueueEvent } from './leaderEvents.js'

const packages = { feature: option('redis'), names: ['bullmq', 'ioredis'] }

/** @throws InputError if bullmq or ioredis is not installed */
export const loadBullmq = (): Promise<typeof import('bullmq')> => loadOptional(packages, () => import('bullmq'))

/** @throws InputError if bullmq or ioredis is not installed */
export const loadIoredis = (): Promise<Pick<typeof import('ioredis'), 'Redis'>> => loadOptional(packages, () => import('ioredis'))

export type RedisAddress = { readonly url: string; readonly maxRetriesPerRequest: null }

/** @throws InputError if `url` is no Redis address; the message does not repeat it, since it may contain a password */
export const redisAddress = (url: string): RedisAddress => {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed === null || !['redis:', 'rediss:'].includes(parsed.protocol) || parsed.hostname === '')
    throw inputError(
      option('redis'),
      'redis://HOST:PORT, or rediss:// with TLS, optionally with USER:PASSWORD@',
      parsed === null ? 'another text' : `${parsed.protocol}//`,
    )
  if (!/^\/?\d*$/.test(parsed.pathname))
    throw inputError(option('redis'), 'the number of a database after the port, as in redis://HOST:PORT/0', quoted(parsed.pathname))
  // ioredis takes any of its options from a query: another host of sentinels, or a socket of this machine
  const [stray] = [...parsed.searchParams.keys()].filter((name) => name !== 'family')
  if (stray !== undefined) throw inputError(option('redis'), 'an address without options, but for ?family=6', quoted(`?${stray}=`))
  return { url: parsed.href, maxRetriesPerRequest: null } // without white space around it, as a file may have
}

/** Bytes of a file with an address at most. */
const addressLimit = 10_000

/**
 * The address that a flag names: itself, the content of a file (`@FILE`), or the environment variable SALORA_REDIS (`env`). The list of processes
 * shows neither of the latter. @throws InputError
 */
export const readRedisAddress = async (flag: string): Promise<string> => {
  const stored = process.env['SALORA_REDIS']
  if (flag === 'env' && (stored ?? '') === '') throw inputError(option('redis'), 'an address in SALORA_REDIS for env', 'nothing')
  const address = flag === 'env' ? (stored ?? '') : flag.startsWith('@') ? await readText(flag.slice(1), addressLimit) : flag
  return redisAddress(address.trim()).url
}

/** The address for messages, without user and password. */
export const redactedAddress = (url: string): string => {
  const { protocol, host } = new URL(url)
  return `${protocol}//${host}`
}

/** The error for a Redis that does not answer, with the connection's own error in one line. */
const unreachableError = (url: string, thrown: unknown): Error =>
  inputError(
    words`${option('redis')} ${redactedAddress(url)}`,
    'a Redis that answers',
    (thrown instanceof Error && oneLine(thrown.message)) || `no answer in ${connectTimeout / 1_000} s`,
  )

/** Why Redis refuses a command (it is full, only a replica, or loads its data); null for another error. */
export const findRefusal = (thrown: unknown): string | null =>
  thrown instanceof Error && thrown.name === 'ReplyError' ? oneLine(thrown.message) : null

/** The error for a Redis that answers, and refuses commands. */
export const refusedError = (url: string, refusal: string): Error =>
  inputError(words`${option('redis')} ${redactedAddress(url)}`, 'a Redis that accepts the commands of a queue', refusal)

/** Reports each kind of refusal once, until `accepted` is called. → whether the error is a refusal */
export const refusalReports = (
  onEvent: (event: QueueEvent) => void,
): { readonly refused: (thrown: unknown) => boolean; readonly accepted: () => void } => {
  const reported = new Set<string>()
  return {
    refused: (thrown) => {
      const refusal = findRefusal(thrown)
      const kind = refusal?.split(' ')[0] ?? ''
      if (refusal !== null && !reported.has(kind)) onEvent({ kind: 'queue', connected: true, refusal })
      reported.add(kind)
      return refusal !== null
    },
    accepted: () => reported.clear(),
  }
}

/** Resolves when the signal aborts. */
export const aborted = async (signal: AbortSignal): Promise<void> => {
  if (!signal.aborted) await once(signal, 'abort')
}

/** Whether `work` settles within this many milliseconds. Commands to a Redis that is down wait forever. */
export const settlesWithin = async (milliseconds: number, work: Promise<unknown>): Promise<boolean> => {
  const timer = new AbortController()
  const timeout = sleep(milliseconds, false, { signal: timer.signal }).catch(() => false)
  try {
    return await Promise.race([timeout, work.then(always, always)])
  } finally {
    timer.abort()
  }
}
const always = (): boolean => true

/** Milliseconds within which Redis must answer at the start. Later outages may take any time. */
const connectTimeout = 5_000

/**
 * Waits until Redis answers. A client whose database Redis refuses connects all the same, and would use database 0.
 * @param lastError of the client
 * @throws InputError if Redis does not answer, or refuses the database
 */
export const checkConnected = async (
  connection: { readonly waitUntilReady: () => Promise<unknown> },
  url: string,
  lastError: () => unknown,
): Promise<void> => {
  let isReady = false
  const ready = connection.waitUntilReady().then(() => {
    isReady = true
  })
  await settlesWithin(connectTimeout, ready)
  if (!isReady) throw unreachableError(url, lastError())
  const refusal = findRefusal(lastError())
  if (refusal !== null) throw refusedError(url, refusal)
}

/** What `reportOutages` needs of a queue or a worker. */
type Connection = {
  readonly on: (event: 'ioredis:close', listener: () => void) => unknown
  readonly getBackend: () => { readonly client: Promise<{ readonly on: (event: 'ready', listener: () => void) => unknown }> }
}

/** Emits one event each time the connection drops or returns, until the signal aborts. The connection must be ready. */
export const reportOutages = async (
  connection: Connection,
  { signal, onEvent }: { readonly signal: AbortSignal; readonly onEvent: (event: QueueEvent) => void },
): Promise<void> => {
  let connected = true
  const change = (now: boolean): void => {
    if (now !== connected && !signal.aborted) onEvent({ kind: 'queue', connected: now })
    connected = now
  }
  connection.on('ioredis:close', () => change(false)) // also after each failed reconnect, but not when this process disconnects
  const client = await connection.getBackend().client
  client.on('ready', () => change(true))
}

/** Milliseconds that closing a connection may take: Redis may be down. */
export const closeTimeout = 2_000

export const closeQueue = async (queue: Queue): Promise<void> => {
  if (!(await settlesWithin(closeTimeout, queue.close()))) await settlesWithin(closeTimeout, queue.disconnect())
}

/** Milliseconds after which a command counts as unanswered. A value of 256 MB takes 20 seconds at 100 Mbit/s. */
const commandTimeout = 60_000

/**
 * A connection for single commands, which fail at once while Redis is down: the caller continues without it. It reconnects by itself.
 * @throws InputError if ioredis is not installed, or Redis does not answer at the start
 */
export const openRedis = async (
  url: string,
  options: { readonly signal: AbortSignal; readonly onEvent: (event: QueueEvent) => void },
): Promise<Redis> => {
  const address = redisAddress(url).url
  const { Redis } = await loadIoredis()
  const client = new Redis(address, {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout,
    retryStrategy: (times) => Math.min(100 * times, 1_000),
  })
  let last: unknown = null
  client.on('error', (error) => {
    last = error
  })
  const ready = new Promise<void>((resolve) => client.once('ready', () => resolve()))
  try {
    await checkConnected({ waitUntilReady: () => ready }, url, () => last)
  } catch (thrown) {
    client.disconnect()
    throw thrown
  }
  await reportOutages(
    { on: (_, listener) => client.on('close', listener), getBackend: () => ({ client: Promise.resolve(client) }) },
    options,
  )
  return client
}
