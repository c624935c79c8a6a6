/** Models of the hub in a browser, against a small hub on this machine: addresses, cache, sizes, and a line for each error. */
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { findHubModel, hubCacheName, hubFiles, type HubCache, type HubPlace, type HubProgress } from '../../web/hubModel.js'

/** Of transformers.js, where it keeps a file of a browser's cache. */
type TransformersHub = {
  readonly buildResourcePaths: (id: string, file: string) => { readonly remoteURL: string; readonly proposedCacheKey: string }
}
const transformersHub = '../../node_modules/@huggingface/transformers/src/utils/hub.js'

const config = JSON.stringify({
  ...{ model_type: 'roberta', vocab_size: 60, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32 },
  ...{ max_position_embeddings: 40, type_vocab_size: 1, layer_norm_eps: 1e-5, pad_token_id: 1, hidden_act: 'gelu' },
})
const indexOf = (...shards: readonly string[]): string =>
  JSON.stringify({ weight_map: Object.fromEntries(shards.map((shard, i) => [`tensor${i}`, shard])) })

/** What the hub has: a text, a number of bytes that it only claims to have, or an answer of another status. */
type Stored = string | { readonly claimed: number } | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
const whole: Readonly<Record<string, Stored>> = {
  ...{ 'config.json': config, 'tokenizer.json': '{"version":"1.0"}', 'special_tokens_map.json': '{}' },
  ...{ 'chat_template.jinja': '{{ messages }}', 'generation_config.json': '{"eos_token_id":3}' },
  'model.safetensors': 'w'.repeat(5_000),
}
let stored: Readonly<Record<string, Stored>> = whole
let requests: string[] = []

/** how many requests are still answered by 429, and with which headers */
let busy = { left: 0, headers: {} as Readonly<Record<string, string>> }

const answer = ({ url = '', headers: { range } }: IncomingMessage, response: ServerResponse): void => {
  requests.push(`${url}${range === undefined ? '' : ` ${range}`}`)
  if (busy.left-- > 0) return void response.writeHead(429, busy.headers).end('<html>')
  const content = stored[url.replace('/owner/name/resolve/main/', '')]
  if (content === undefined) return void response.writeHead(404).end()
  if (typeof content === 'object' && 'status' in content) return void response.writeHead(content.status, content.headers).end('<html>')
  const size = typeof content === 'string' ? content.length : content.claimed
  if (range === 'bytes=0-0') return void response.writeHead(206, { 'content-range': `bytes 0-0/${size}` }).end('w')
  response.writeHead(200, { 'content-length': size, 'content-type': 'application/octet-stream' })
  if (typeof content === 'string') response.end(content)
  else response.write('w', () => response.destroy())
}

let server: Server
let origin = ''
beforeAll(async () => {
  server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  stored = whole
  requests = []
  busy = { left: 0, headers: {} }
})

/** The Cache API in memory. */
const cacheOf = (entries: Map<string, Response>): HubCache => ({
  match: async (address) => entries.get(address)?.clone(),
  put: async (address, response) => void entries.set(address, response),
})
const placeOf = (entries = new Map<string, Response>()): HubPlace => ({ cache: cacheOf(entries), origin, firstDelay: 1 })
const filesOf = async (place: HubPlace, report: (progress: HubProgress) => void = () => undefined) =>
  hubFiles(await findHubModel('owner/name', place), place, report)
const weightRequests = (): readonly string[] => requests.filter((line) => /safetensors$/.test(line))

describe('a model of the hub in a browser', () => {
  it('is downloaded once, with its progress, and then needs no connection', async () => {
    const entries = new Map<string, Response>()
    const progress: HubProgress[] = []
    const found = await findHubModel('owner/name', placeOf(entries))
    expect(found).toEqual({ id: 'owner/name', family: 'roberta', weights: [{ name: 'model.safetensors', bytes: 5_000, cached: false }] })
    expect(weightRequests()).toEqual([])
    const files = await hubFiles(found, placeOf(entries), (step) => progress.push(step))
    const texts = await Promise.all([...files].map(async ([name, blob]) => [name, await blob.text()] as const))
    expect(Object.fromEntries(texts)).toEqual(whole)
    expect(progress.at(-1)).toEqual({ file: 'model.safetensors', received: 5_000, total: 5_000 })
    expect([...entries.keys()].sort()).toEqual(
      Object.keys(whole)
        .map((file) => `${origin}/owner/name/resolve/main/${file}`)
        .sort(),
    )
    expect(entries.get(`${origin}/owner/name/resolve/main/model.safetensors`)?.headers.get('content-length')).toBe('5000')

    requests = []
    const again = await filesOf(placeOf(entries))
    expect([...again.keys()].sort()).toEqual(Object.keys(whole).sort())
    expect(requests).toEqual([])
    expect((await findHubModel('owner/name', placeOf(entries))).weights).toEqual([
      { name: 'model.safetensors', bytes: 5_000, cached: true },
    ])
  })

  it('is where transformers.js looks for it', async () => {
    const { buildResourcePaths } = (await import(transformersHub)) as TransformersHub
    const asked: string[] = []
    const watching: HubCache = { match: async (address) => void asked.push(address), put: async () => undefined }
    await findHubModel('owner/name', { cache: watching, signal: AbortSignal.abort() }).catch(() => undefined)
    const { remoteURL, proposedCacheKey } = buildResourcePaths('owner/name', 'config.json')
    expect(asked).toEqual([proposedCacheKey])
    expect(proposedCacheKey).toBe(remoteURL)
    expect(await readFile('node_modules/@huggingface/transformers/src/env.js', 'utf8')).toContain(`cacheKey: '${hubCacheName}'`)
  })

  it('may be in shards, and is refused by its size before a weight is loaded', async () => {
    const { 'model.safetensors': _, ...small } = whole
    const [one, two] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'] as const
    stored = { ...small, 'model.safetensors.index.json': indexOf(one, two, one), [one]: 'aa', [two]: 'bbb' }
    const files = await filesOf(placeOf())
    expect([await files.get(one)?.text(), await files.get(two)?.text()]).toEqual(['aa', 'bbb'])

    const limit = 'expected at most 1.5 GB of weights (WebAssembly has 4 GB of memory), got 2.0 GB; train it with Node'
    for (const large of [
      { ...whole, 'model.safetensors': { claimed: 2e9 } },
      { ...stored, [one]: { claimed: 1e9 }, [two]: { claimed: 1e9 } },
    ]) {
      stored = large
      requests = []
      await expect(findHubModel('owner/name', placeOf())).rejects.toThrow(`owner/name: ${limit}`)
      expect(weightRequests()).toEqual([])
    }
  })

  it('is not kept if its download breaks, and is stopped by a signal', async () => {
    stored = { ...whole, 'model.safetensors': { claimed: 9_000 } }
    const entries = new Map<string, Response>()
    await expect(filesOf(placeOf(entries))).rejects.toThrow(
      /^owner\/name\/model.safetensors: expected 9000 bytes, got \d: the connection broke/,
    )
    expect([...entries.keys()].filter((address) => address.endsWith('safetensors'))).toEqual([])
    const stop = new AbortController()
    const stopping = filesOf({ ...placeOf(), signal: stop.signal }, () => stop.abort())
    await expect(stopping).rejects.toThrow('owner/name: expected a whole download, got one that was stopped')
    const stopped = findHubModel('owner/name', { ...placeOf(), signal: AbortSignal.abort() })
    await expect(stopped).rejects.toThrow('owner/name: expected a whole download, got one that was stopped')
  })

  it('waits where the hub is busy, as long as the hub says, and a signal ends the wait', async () => {
    const waits: Array<readonly [string, number]> = []
    const place: HubPlace = { ...placeOf(), onWait: (why, seconds) => waits.push([why, seconds]) }
    busy = { left: 3, headers: {} }
    expect((await filesOf(place)).size).toBe(6)
    const why = `status 429 from ${new URL(origin).host}`
    expect(waits).toEqual([1, 2, 4].map((milliseconds) => [why, milliseconds / 1000]))
    expect(requests.filter((line) => line.endsWith('/config.json') && !line.includes('1_Pooling'))).toHaveLength(4)

    busy = { left: Infinity, headers: {} }
    await expect(findHubModel('owner/name', placeOf())).rejects.toThrow('got status 429 (try again later)')
    busy = { left: Infinity, headers: { 'retry-after': '301' } } // longer than anybody waits
    requests = []
    await expect(findHubModel('owner/name', placeOf())).rejects.toThrow('got status 429')
    expect(requests).toHaveLength(1)

    busy = { left: 1, headers: { 'retry-after': '200' } }
    const stop = new AbortController()
    const stopping = findHubModel('owner/name', {
      ...placeOf(),
      signal: stop.signal,
      onWait: (_, seconds) => stop.abort(waits.push(['', seconds])),
    })
    await expect(stopping).rejects.toThrow('owner/name: expected a whole download, got one that was stopped')
    expect(waits.at(-1)).toEqual(['', 200])
  })

  it.each<readonly [string, Readonly<Record<string, Stored>>, string]>([
    [
      'no such model',
      { 'config.json': { status: 401 } },
      'owner/name: expected a public model, got status 401: it does not exist, or it needs an account',
    ],
    [
      'an account',
      { 'config.json': { status: 401, headers: { 'x-error-code': 'GatedRepo' } } },
      'owner/name: expected a public model, got status 401: it needs an account',
    ],
    [
      'no config.json',
      { 'model.safetensors': 'w' },
      'owner/name: expected config.json on the hub, got none (no such model, or one of another library)',
    ],
    ['another family', { ...whole, 'config.json': '{"model_type":"t5"}' }, 'owner/name/config.json: expected model_type "roberta" or '],
    ['no tokenizer', { ...whole, 'tokenizer.json': { status: 404 } }, 'owner/name: expected tokenizer.json on the hub, got none'],
    [
      'only pickled weights',
      { 'config.json': config },
      'owner/name: expected weights in safetensors on the hub, got none (pickled weights are not read)',
    ],
    [
      'a web page',
      { 'config.json': { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } } },
      'owner/name/config.json: expected a file of the hub, got a web page',
    ],
    [
      'a busy hub',
      { 'config.json': { status: 503 } },
      'owner/name/config.json: expected a file of the hub, got status 503 (try again later)',
    ],
  ])('is refused in one line: %s', async (_, files, line) => {
    stored = files
    const message = await filesOf(placeOf()).then(
      () => '',
      ({ message: text }: Error) => text,
    )
    expect(message).toContain(line)
    expect(message).not.toContain('\n')
  })

  it('is refused in one line without a connection and under a name that the hub does not have', async () => {
    const nowhere = { cache: null, origin: 'http://127.0.0.1:1' }
    await expect(findHubModel('owner/name', nowhere)).rejects.toThrow(
      "owner/name: expected an answer of http://127.0.0.1:1 (or a model's folder of this computer), got none: no connection",
    )
    for (const id of ['no id', '../name', 'a/b/c', ''])
      await expect(findHubModel(id, nowhere), id).rejects.toThrow(`model: expected OWNER/NAME of the hub, got "${id}"`)
    expect(requests).toEqual([])
  })
})
