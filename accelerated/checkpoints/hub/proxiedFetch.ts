/** `fetch` through the proxy that the environment names, as curl and Python's tools send their requests. Node's own `fetch` ignores these variables. */
import { inputError } from '../../errors/inputError.js'
import { given, type Environment } from '../../storage/nodeFiles.js'

export type Fetch = (url: URL, init?: RequestInit) => Promise<Response>

/** Node's `fetch`, where no proxy is named for an address. @throws InputError, from the function that it returns, as proxyOf does */
export const proxiedFetch =
  (environment: Environment): Fetch =>
  async (url, init) => {
    const proxy = proxyOf(environment, url)
    return proxy === null ? fetch(url, init) : (await fetchThrough(proxy))(url, init)
  }

/**
 * HTTPS_PROXY or HTTP_PROXY by the address, else ALL_PROXY, each in lower case first. null: this machine, or a host of NO_PROXY, which also covers the
 * domains below it.
 * @throws InputError for what is no address of a proxy; it does not show it, for it may hold a password
 */
export const proxyOf = (environment: Environment, { protocol, hostname, port }: URL): string | null => {
  const found = [`${protocol.slice(0, -1)}_proxy`, 'all_proxy']
    .flatMap((name) => [name, name.toUpperCase()])
    .find((name) => given(environment, name) !== undefined)
  if (found === undefined || isLocal(hostname)) return null
  const direct = (given(environment, 'no_proxy') ?? given(environment, 'NO_PROXY') ?? '').split(/[\s,]+/).filter((entry) => entry !== '')
  if (direct.some((entry) => covers(entry.toLowerCase(), hostname, port || defaultPorts[protocol]))) return null
  const address = given(environment, found) ?? ''
  const whole = address.includes('://') ? address : `http://${address}`
  if (!URL.canParse(whole) || !/^https?:$/.test(new URL(whole).protocol))
    throw inputError(found, 'the address of a proxy, http://HOST:PORT', 'another (not shown, for it may hold a password)')
  return new URL(whole).href
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
  const known = opened.get(proxy) ?? openProxy(proxy)
  opened.set(proxy, known)
  return known
}

const openProxy = async (proxy: string): Promise<Fetch> => {
  const { ProxyAgent, fetch: fetchOf } = await import('undici')
  const dispatcher = new ProxyAgent(proxy)
  const request = fetchOf as unknown as (url: URL, init: object) => Promise<Response> // its types are those of Node's, by other names
  return (url, init) => request(url, { ...init, dispatcher })
}
