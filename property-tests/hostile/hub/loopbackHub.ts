/** A hub and its storage server on the loopback, correct until a test replaces a response; each test has its own cache. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { InputError } from '../../../accelerated/errors/inputError.js'
import { writeSafetensors } from '../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { resolveModel, type HubOptions } from '../../../accelerated/checkpoints/hub/hub.js'

export type Answer = (request: IncomingMessage, response: ServerResponse) => void
type Request = { readonly host: string; readonly line: string; readonly token: string | undefined; readonly range: string | undefined }

export const commit = '0123456789abcdef0123456789abcdef01234567'
const data = Float32Array.from({ length: 9_980 }, (_, i) => (i * 7919) % 251)
export const weights = Buffer.from(writeSafetensors(new Map([['w', { shape: [data.length], data }]])))
export const files: Readonly<Record<string, Buffer>> = {
  'config.json': Buffer.from('{"a":1}'),
  'tokenizer.json': Buffer.from('{"b":2}'),
  'model.safetensors': weights,
}
export const sha256 = createHash('sha256').update(weights).digest('hex')
export const gitHash = (content: Buffer): string => createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')

/** Who answers what: tests put their own answers here. */
export const answering: { hub: Answer; storage: Answer } = { hub: () => undefined, storage: () => undefined }
/** What either was asked, in its order. */
export const requests: Request[] = []
/** Addresses of both; folders of the file's tests and of the test. */
export const places = { hub: '', storage: '', root: '', cache: '' }
const servers: Server[] = []

const listening = async (host: 'hub' | 'storage'): Promise<string> => {
  const server = createServer((request, response) => {
    requests.push({ host, line: `${request.method} ${request.url}`, token: request.headers.authorization, range: request.headers.range })
    answering[host](request, response)
  })
  servers.push(server)
  await new Promise<void>((ready) => {
    server.listen(0, '127.0.0.1', ready)
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Starts both servers before a file's tests, with honest answers and an empty cache for each test. Each test file calls it. */
export const useHub = (): void => {
  beforeAll(async () => {
    places.root = await mkdtemp(join(tmpdir(), 'salora-hostile-hub-'))
    places.hub = await listening('hub')
    places.storage = await listening('storage')
  })
  beforeEach(async () => {
    places.cache = await mkdtemp(join(places.root, 'cache-'))
    requests.length = 0
    answering.hub = honest()
    answering.storage = sendRange
  })
  afterAll(async () => {
    for (const server of servers) {
      server.closeAllConnections()
      server.close()
    }
    await rm(places.root, { recursive: true })
  })
}

export const nameOf = (request: IncomingMessage): string => request.url?.split('/').at(-1) ?? ''

/** The file, from where the range asks. */
export const sendRange: Answer = (request, response) => {
  const content = files[nameOf(request)]
  if (content === undefined) return void response.writeHead(404).end()
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
  if (from >= content.length) return void response.writeHead(416).end()
  const rest = content.subarray(from)
  response.writeHead(from > 0 ? 206 : 200, {
    'content-length': rest.length,
    ...(from > 0 ? { 'content-range': `bytes ${from}-${content.length - 1}/${content.length}` } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : rest)
}

/** Answers as the real hub does. Small files come from it, with git's hash. Weights come from the storage by a redirect, and its answer has SHA-256 and size. */
export const honest =
  (linked: Readonly<Record<string, string>> = {}): Answer =>
  (request, response) => {
    const content = files[nameOf(request)]
    response.setHeader('x-repo-commit', commit)
    if (content === undefined) return void response.writeHead(404).end()
    if (nameOf(request) !== 'model.safetensors') {
      response.setHeader('etag', `"${gitHash(content)}"`)
      return sendRange(request, response)
    }
    response
      .writeHead(302, {
        location: `${places.storage}/lfs/model.safetensors`,
        'x-linked-etag': `"${sha256}"`,
        'x-linked-size': String(weights.length),
        ...linked,
      })
      .end()
  }

/** Another answer for the weights on the hub's first address; everything else honest. */
export const forWeights =
  (answer: Answer): Answer =>
  (request, response) => {
    if (nameOf(request) === 'model.safetensors') answer(request, response)
    else honest()(request, response)
  }

export const resolve = (options: HubOptions = {}) =>
  resolveModel('me/model', {
    ...options,
    environment: { HF_ENDPOINT: places.hub, SALORA_CACHE: places.cache, HF_TOKEN: 'secret', ...options.environment },
  })

/** What the download says, its addresses as HUB and STORE; 'no error' where it succeeds. Otherwise no weights may be left to use. */
export const message = async (options?: HubOptions): Promise<string> => {
  const line = await resolve(options).then(
    () => 'no error',
    (thrown: unknown) => {
      expect(thrown).toBeInstanceOf(InputError)
      return (thrown as Error).message
    },
  )
  expect(line).not.toContain('\n')
  // whatever went wrong, no weights are in the snapshot, and offline nothing resolves
  if (line !== 'no error') {
    expect(
      await readdir(join(places.cache, 'models--me--model', 'snapshots', commit)).then(
        (names) => names.includes('model.safetensors'),
        () => false,
      ),
    ).toBe(false)
    for (const revision of ['main', commit])
      await expect(resolve({ revision, environment: { HF_HUB_OFFLINE: '1' } })).rejects.toThrow('no complete copy there')
  }
  return line.replaceAll(places.hub, 'HUB').replaceAll(places.storage, 'STORE')
}
/** The weights' address, as `message` has it. */
export const W = `HUB/me/model/resolve/${commit}/model.safetensors`
/** Ranges that the storage was asked for. */
export const ranges = () => requests.filter(({ host }) => host === 'storage').map(({ range }) => range)
export const blobs = () => readdir(join(places.cache, 'models--me--model', 'blobs'))
