/** Where Redis is: `redis://` or, with TLS, `rediss://`, with a password where it has one; and leaving it, whether it is there or not. */
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import type { Queue, RedisQueueBackend, Worker } from 'bullmq'
import { inputError, oneLine } from '../../accelerated/errors/inputError.js'
import type { ExecutorOptions } from './executor.js'

export type RedisAddress = { readonly url: string; readonly maxRetriesPerRequest: null }

/** @throws Mistake for what is no such address. Its password is not repeated. */
export const redisAddress = (url: string): RedisAddress => {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed === null || !['redis:', 'rediss:'].includes(parsed.protocol) || parsed.hostname === '')
    throw inputError(
      '--redis',
      'redis://HOST:PORT, or rediss:// with TLS, perhaps with USER:PASSWORD@',
      parsed === null ? 'another text' : `${parsed.protocol}//`,
    )
  return { url, maxRetriesPerRequest: null }
}

/** For messages: without user and password. */
export const redactedAddress = (url: string): string => {
  const { protocol, host } = new URL(url)
  return `${protocol}//${host}`
}

/** What a connection says that does not come about, in one line. */
export const unreachableError = (url: string, thrown: unknown): Error =>
  inputError(
    `--redis ${redactedAddress(url)}`,
    'a Redis that answers',
    oneLine(thrown instanceof Error ? thrown.message : String(thrown)) || 'none',
  )

/** Comes with the signal. */
export const aborted = async (signal: AbortSignal): Promise<void> => {
  if (!signal.aborted) await once(signal, 'abort')
}

/** Whether what needs Redis came about, or failed, in that time: one that is gone is waited for without end. */
export const within = async (milliseconds: number, work: Promise<unknown>): Promise<boolean> => {
  const over = new AbortController()
  const late = pause(milliseconds, false, { signal: over.signal }).catch(() => false)
  try {
    return await Promise.race([late, work.then(always, always)])
  } finally {
    over.abort()
  }
}
const always = (): boolean => true

/** Milliseconds in which Redis must answer at first; later it may be gone for as long as it likes. */
const patience = 5_000

/** Whether it does. */
export const answers = async (connection: Queue | Worker): Promise<boolean> => {
  let isReady = false
  const ready = connection.waitUntilReady().then(() => {
    isReady = true
  })
  await within(patience, ready)
  return isReady
}

/** Of a queue or a worker. */
type Outages = {
  readonly on: (event: 'ioredis:close', heard: () => void) => unknown
  readonly getBackend: () => Pick<RedisQueueBackend, 'client'>
}

/** Tells of each time that Redis goes, once, and that it is there again, until the signal comes. The connection must have answered before. */
export const reportOutages = async (connection: Outages, { signal, tell }: Pick<ExecutorOptions, 'signal' | 'tell'>): Promise<void> => {
  let there = true
  const found = (now: boolean): void => {
    if (now !== there && !signal.aborted) tell({ kind: 'queue', there: now })
    there = now
  }
  connection.on('ioredis:close', () => found(false)) // also after each attempt to connect again; not where we hang up
  const client = await connection.getBackend().client
  client.on('ready', () => found(true))
}

/** Milliseconds to take leave of a Redis that may be gone. */
export const closeTimeout = 2_000

export const closeQueue = async (queue: Queue): Promise<void> => {
  if (!(await within(closeTimeout, queue.close()))) await within(closeTimeout, queue.disconnect())
}
