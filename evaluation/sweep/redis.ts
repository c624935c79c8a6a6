/** Where Redis is: `redis://` or, with TLS, `rediss://`, with a password where it has one. */
import { mistake, oneLine } from '../../accelerated/files/mistake.js'

export type RedisAddress = { readonly url: string; readonly maxRetriesPerRequest: null }

/** @throws Mistake for what is no such address. Its password is not repeated. */
export const redisAddress = (url: string): RedisAddress => {
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (parsed === null || !['redis:', 'rediss:'].includes(parsed.protocol) || parsed.hostname === '')
    throw mistake(
      '--redis',
      'redis://HOST:PORT, or rediss:// with TLS, perhaps with USER:PASSWORD@',
      parsed === null ? 'another text' : `${parsed.protocol}//`,
    )
  return { url, maxRetriesPerRequest: null }
}

/** For messages: without user and password. */
export const shownAddress = (url: string): string => {
  const { protocol, host } = new URL(url)
  return `${protocol}//${host}`
}

/** What a connection says that does not come about, in one line. */
export const unreachable = (url: string, thrown: unknown): Error =>
  mistake(
    `--redis ${shownAddress(url)}`,
    'a Redis that answers',
    oneLine(thrown instanceof Error ? thrown.message : String(thrown)) || 'none',
  )
