/** Proxies of the environment: which one an address gets, by curl's rules, and requests through a real one by CONNECT. */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { resolveModel } from '../../../accelerated/checkpoints/hub/hub.js'
import { uploadFiles } from '../../../accelerated/checkpoints/hub/hubUpload.js'
import { mlflowService } from '../../../finetuning/run/tracking/mlflow.js'
import { proxiedFetch, findProxy } from '../../../accelerated/checkpoints/hub/hubEnvironment.js'

describe('the proxy of an address', () => {
  const proxy = 'http://proxy.test:3128/'
  it.each<readonly [string, Readonly<Record<string, string>>, string, string | null]>([
    ['none in the environment', {}, 'https://hub.test/x', null],
    ['by its protocol', { HTTPS_PROXY: proxy, HTTP_PROXY: 'http://other.test' }, 'https://hub.test/x', proxy],
    ['of the other protocol', { HTTP_PROXY: proxy }, 'https://hub.test/x', null],
    ['for all protocols', { ALL_PROXY: proxy }, 'http://hub.test/x', proxy],
    ['in lower case first', { https_proxy: proxy, HTTPS_PROXY: 'http://other.test' }, 'https://hub.test/x', proxy],
    ['without a protocol', { https_proxy: 'proxy.test:3128' }, 'https://hub.test/x', proxy],
    ['an empty variable', { https_proxy: '', ALL_PROXY: ' ' }, 'https://hub.test/x', null],
    ['this machine', { http_proxy: proxy }, 'http://localhost:5000/x', null],
    ['this machine by address', { http_proxy: proxy }, 'http://127.0.0.1:5000/x', null],
    ['this machine by its other address', { http_proxy: proxy }, 'http://[::1]:5000/x', null],
    ['a host of NO_PROXY', { http_proxy: proxy, NO_PROXY: 'a.test, hub.test' }, 'http://hub.test/x', null],
    ['a domain below one of NO_PROXY', { http_proxy: proxy, no_proxy: 'hub.test' }, 'http://cdn.HUB.test/x', null],
    ['with a dot before it', { http_proxy: proxy, no_proxy: '.hub.test' }, 'http://cdn.hub.test/x', null],
    ['with a star before it', { http_proxy: proxy, no_proxy: '*.hub.test' }, 'http://cdn.hub.test/x', null],
    ['another name with the same end', { http_proxy: proxy, no_proxy: 'hub.test' }, 'http://myhub.test/x', proxy],
    ['any host', { http_proxy: proxy, no_proxy: '*' }, 'http://hub.test/x', null],
    ['the port of NO_PROXY', { http_proxy: proxy, no_proxy: 'hub.test:8080' }, 'http://hub.test:8080/x', null],
    ['its own default port', { https_proxy: proxy, no_proxy: 'hub.test:443' }, 'https://hub.test/x', null],
    ['another port', { http_proxy: proxy, no_proxy: 'hub.test:8080' }, 'http://hub.test/x', proxy],
  ])('%s', (_, environment, url, expected) => {
    expect(findProxy(environment, new URL(url))).toBe(expected)
  })

  it.each(['socks5://user:secret@proxy.test', 'http://', 'ftp://proxy.test'])('is refused without being shown: %s', (address) => {
    expect(() => findProxy({ https_proxy: address }, new URL('https://hub.test'))).toThrow(
      /^https_proxy: expected the address of a proxy, http:\/\/HOST:PORT, got another \(not shown, for it may hold a password\)$/,
    )
  })
})

describe('a request through a proxy', () => {
  let [hub, proxy]: [Server, Server] = [createServer(), createServer()]
  /** the tunnels that were asked for, and the requests that arrived */
  let [asked, arrived]: [string[], string[]] = [[], []]
  let cache = ''
  const portOf = (server: Server): number => (server.address() as AddressInfo).port
  beforeAll(async () => {
    cache = await mkdtemp(join(tmpdir(), 'salora-proxy-'))
    hub = createServer(async (request, response) => {
      arrived.push(`${request.method} ${request.headers.host}${request.url}`)
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const statuses: Readonly<Record<string, number>> = { '/x': 200, '/moved': 302 }
      response.writeHead(statuses[request.url ?? ''] ?? 404, { location: '/x' })
      response.end(`${request.method} ${request.headers.host} ${request.headers.authorization} ${Buffer.concat(chunks).toString()}`)
    }).listen(0, '127.0.0.1')
    // it knows hub.test, which no name server does
    proxy = createServer((_, response) => void response.writeHead(405).end()).on('connect', (request, socket, head: Buffer) => {
      asked.push(`${request.url} ${request.headers['proxy-authorization']}`)
      const target = connect(portOf(hub), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connected\r\n\r\n')
        target.write(head)
        target.pipe(socket).pipe(target)
      })
      for (const end of [target, socket]) end.on('error', () => undefined)
    })
    proxy.listen(0, '127.0.0.1')
    await Promise.all([once(hub, 'listening'), once(proxy, 'listening')])
  })
  afterAll(async () => {
    await rm(cache, { recursive: true })
    for (const server of [hub, proxy]) server.closeAllConnections()
    for (const server of [hub, proxy]) server.close()
  })

  it('has its headers and its streamed body, and the password goes to the proxy alone', async () => {
    const fetch = proxiedFetch({ http_proxy: `http://me:a%20word@127.0.0.1:${portOf(proxy)}` })
    const body = new Blob(['some bytes']).stream()
    const response = await fetch(new URL('http://hub.test/x'), {
      method: 'PUT',
      headers: new Headers({ authorization: 'Bearer t' }),
      ...({ body, duplex: 'half' } as RequestInit),
    })
    expect([response.status, await response.text()]).toEqual([200, 'PUT hub.test Bearer t some bytes'])
    expect(asked).toEqual([`hub.test:80 Basic ${Buffer.from('me:a word').toString('base64')}`])
  })

  it('leaves a redirect to its caller, and ends with its signal', async () => {
    const fetch = proxiedFetch({ http_proxy: `127.0.0.1:${portOf(proxy)}` })
    const moved = await fetch(new URL('http://hub.test/moved'), { redirect: 'manual' })
    expect([moved.status, moved.headers.get('location')]).toEqual([302, '/x'])
    await moved.body?.cancel()
    await expect(fetch(new URL('http://hub.test/x'), { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
  })

  it.each<readonly [string, string, (environment: Readonly<Record<string, string>>) => Promise<unknown>]>([
    ['a download', 'HEAD hub.test/me/model/resolve/main/config.json', (environment) => resolveModel('me/model', { environment })],
    [
      'an upload',
      'GET hub.test/api/models/me/model',
      (environment) =>
        uploadFiles([], { repository: 'me/model', message: 'm', isPrivate: true, environment: { ...environment, HF_TOKEN: 't' } }),
    ],
    [
      "a tracker's request",
      'GET hub.test/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default',
      (environment) =>
        mlflowService(environment).open(
          { name: 'r', params: {}, earlier: null, store: async () => undefined },
          new AbortController().signal,
        ),
    ],
  ])('is what %s makes', async (_, first, asking) => {
    arrived = []
    const environment = { HF_ENDPOINT: 'http://hub.test', MLFLOW_TRACKING_URI: 'http://hub.test', SALORA_CACHE: cache }
    await expect(asking({ ...environment, http_proxy: `127.0.0.1:${portOf(proxy)}` })).rejects.toThrow()
    expect(arrived[0]).toBe(first)
  })

  it('fails at once in an upload whose proxy is malformed', async () => {
    const waits = vi.fn()
    const environment = { HF_ENDPOINT: 'http://hub.test', HF_TOKEN: 't', http_proxy: 'socks5://x' }
    await expect(uploadFiles([], { repository: 'me/model', message: 'm', isPrivate: true, environment, onEvent: waits })).rejects.toThrow(
      'http_proxy',
    )
    expect(waits).not.toHaveBeenCalled()
  })

  it('fails without the proxy, and where the proxy is down', async () => {
    await expect(proxiedFetch({})(new URL('http://hub.test/x'))).rejects.toThrow('fetch failed')
    await expect(proxiedFetch({ http_proxy: 'http://127.0.0.1:1' })(new URL('http://hub.test/x'))).rejects.toThrow('fetch failed')
  })
})
