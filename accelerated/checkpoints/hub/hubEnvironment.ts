/**
 * The environment variables of the hub, validated, and `fetch` through the proxy that they name. An empty variable counts as unset, as in Python's
 * tools. No message shows a secret.
 */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { inputError, quoted } from '../../errors/inputError.js'
import { isAbsent, systemInputError } from '../../errors/systemError.js'
import { locateHfHome, variable, type Environment } from '../../storage/nodeFiles.js'

/** The hub's address, without a slash at its end. @throws InputError */
export const readEndpoint = (environment: Environment): string =>
  webAddress('HF_ENDPOINT', variable(environment, 'HF_ENDPOINT') ?? 'https://huggingface.co', 'a token goes into HF_TOKEN')

/** The address in an environment variable, without a slash at its end. @param secrets where secrets belong. @throws InputError */
export const webAddress = (name: string, text: string, secrets: string): string => {
  const address = text.replace(/\/+$/, '')
  const url = URL.canParse(address) ? new URL(address) : null
  if (url === null || !/^https?:$/.test(url.protocol))
    throw inputError(
      name,
      'an http or https address',
      address.includes('@') ? 'another (not shown, for it may hold a password)' : quoted(address),
    )
  if (url.username !== '' || url.password !== '')
    throw inputError(name, `an address without user and password (${secrets})`, 'one with them')
  if (/[?#]/.test(address)) throw inputError(name, 'an address without "?" and "#"', 'one with them')
  return address
}

/** The token: HF_TOKEN, or else the one that `hf auth login` stored, as Python's tools choose. @throws InputError that does not show it */
export const readToken = (environment: Environment): string | undefined => {
  const file = locateTokenFile(environment)
  return readSecret(environment, 'HF_TOKEN') ?? checkedToken(file, storedToken(file))
}

/** Where Python's tools store the token. */
export const locateTokenFile = (environment: Environment): string =>
  variable(environment, 'HF_TOKEN_PATH') ?? join(locateHfHome(environment), 'token')

/** A secret in an environment variable. @throws InputError that does not show it */
export const readSecret = (environment: Environment, name: string): string | undefined => checkedToken(name, variable(environment, name))

const checkedToken = (where: string, token: string | undefined): string | undefined => {
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw inputError(where, 'one word of printable ASCII characters', 'something else (not shown, for it may be a secret)')
  return token
}

/** No token is longer, by far. */
const longestToken = 10_000

const storedToken = (file: string): string | undefined => {
  try {
    const stats = statSync(file)
    if (!stats.isFile() || stats.size > longestToken) throw inputError(file, 'a file with one token', 'something else')
    return readFileSync(file, 'utf8').trim() || undefined
  } catch (thrown) {
    if (isAbsent(thrown)) return undefined
    throw systemInputError(file, 'a readable file with a token', thrown)
  }
}

export const isOffline = (environment: Environment): boolean =>
  ['1', 'true', 'yes', 'on'].includes(variable(environment, 'HF_HUB_OFFLINE')?.toLowerCase() ?? '')

export type Fetch = (url: URL, init?: RequestInit) => Promise<Response>

/**
 * `fetch` through the environment's proxy, as curl and Python's tools send their requests: Node's own ignores these variables.
 * @throws InputError, from the function that it returns, as findProxy does
 */
export const proxiedFetch =
  (environment: Environment): Fetch =>
  async (url, init) => {
    const proxy = findProxy(environment, url)
    return proxy === null ? fetch(url, init) : (await fetchThrough(proxy))(url, init)
  }

/**
 * HTTPS_PROXY or HTTP_PROXY by the address, else ALL_PROXY, each in lower case first. null: this machine, or a host of NO_PROXY, which also covers the
 * domains below it.
 * @throws InputError for what is no address of a proxy; it does not show it, for it may hold a password
 */
export const findProxy = (environment: Environment, { protocol, hostname, port }: URL): string | null => {
  const name = [`${protocol.slice(0, -1)}_proxy`, 'all_proxy']
    .flatMap((lower) => [lower, lower.toUpperCase()])
    .find((each) => variable(environment, each) !== undefined)
  if (name === undefined || isLocal(hostname)) return null
  const direct = (variable(environment, 'no_proxy') ?? variable(environment, 'NO_PROXY') ?? '')
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
  if (direct.some((entry) => covers(entry.toLowerCase(), hostname, port || defaultPorts[protocol]))) return null
  const address = variable(environment, name) ?? ''
  const url = address.includes('://') ? address : `http://${address}`
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw inputError(name, 'the address of a proxy, http://HOST:PORT', 'another (not shown, for it may hold a password)')
  return new URL(url).href
}

const defaultPorts: Readonly<Record<string, string>> = { 'https:': '443', 'http:': '80' }

const isLocal = (hostname: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)

/** Entries of NO_PROXY: `*`, `example.com`, `.example.com`, `*.example.com`, each perhaps with a port. */
const covers = (entry: string, hostname: string, port: string | undefined): boolean => {
  const [, host = '', ofPort] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? []
  const domain = host.replace(/^\*?\./, '')
  return (ofPort === undefined || ofPort === port) && (host === '*' || hostname === domain || hostname.endsWith(`.${domain}`))
}

/** By the address of a proxy: its connections are shared. */
const opened = new Map<string, Promise<Fetch>>()

const fetchThrough = (proxy: string): Promise<Fetch> => {
  const shared = opened.get(proxy) ?? openProxy(proxy)
  opened.set(proxy, shared)
  return shared
}

const openProxy = async (proxy: string): Promise<Fetch> => {
  const undici = await import('undici')
  const dispatcher = new undici.ProxyAgent(proxy)
  const request = undici.fetch as unknown as (url: URL, init: object) => Promise<Response> // its types are those of Node's, by other names
  return (url, init) => request(url, { ...init, dispatcher })
}
