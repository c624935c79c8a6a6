/** A hub that takes uploads on the loopback, as its API documents them: repositories, branches, LFS, commits, and downloads of what arrived. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach } from 'vitest'

export type Arrived = { readonly line: string; readonly headers: IncomingMessage['headers']; readonly body: Buffer }
type Repository = { readonly isPrivate: boolean; readonly branches: Map<string, Map<string, Buffer>> }

export const token = 'hf_secret'
export const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const gitHash = (bytes: Buffer): string => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
const isLarge = (path: string): boolean => /\.(safetensors|onnx)$/.test(path)

/** What arrived, and what the hub has. `intercept` may answer first; `partBytes` makes the storage take files in parts. */
export const hub = {
  url: '',
  /** another origin, as the hub's storage is */
  storage: '',
  arrived: [] as Arrived[],
  repositories: new Map<string, Repository>(),
  objects: new Map<string, Buffer>(),
  parts: new Map<string, Buffer>(),
  partBytes: null as number | null,
  intercept: (_at: Arrived, _response: ServerResponse): boolean => false,
}
export const lines = (): readonly string[] => hub.arrived.map(({ line }) => line)
export const filesOf = (name: string, branch = 'main'): ReadonlyMap<string, Buffer> =>
  hub.repositories.get(name)?.branches.get(branch) ?? new Map()

const json = (response: ServerResponse, status: number, body: unknown): unknown =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
const commitId = '0123456789abcdef0123456789abcdef01234567'

const answer = (at: Arrived, response: ServerResponse): unknown => {
  if (hub.intercept(at, response)) return
  const [method = '', url = ''] = at.line.split(' ')
  const path = decodeURIComponent(url.split('?')[0]!)
  if (path.startsWith('/storage/')) return storage(at, path.slice('/storage/'.length), response)
  if (at.headers.authorization !== `Bearer ${token}`) return json(response, 401, { error: 'Invalid credentials' })
  if (path === '/api/whoami-v2') return json(response, 200, { type: 'user', name: 'me', auth: { type: 'access_token' } })
  if (path === '/api/repos/create') {
    const { organization, name, visibility } = JSON.parse(String(at.body)) as Record<string, string>
    hub.repositories.set(`${organization}/${name}`, { isPrivate: visibility === 'private', branches: new Map([['main', new Map()]]) })
    return json(response, 200, { url: `${hub.url}/${organization}/${name}`, id: 'x' })
  }
  const [, api, lfs, plain] = /^\/api\/models\/(me\/[\w-]+)|^\/(me\/[\w-]+)\.git\/|^\/(me\/[\w-]+)\/resolve/.exec(path) ?? []
  const repository = hub.repositories.get(api ?? lfs ?? plain ?? '')
  if (repository === undefined) return json(response, 404, { error: 'Repository not found' })
  if (lfs !== undefined) return batch(at, response)
  const [, , , , action, branch = 'main', ...file] =
    plain === undefined ? path.split('/').slice(1) : ['', '', '', '', ...path.split('/').slice(3)]
  if (action === undefined) return json(response, 200, { id: api })
  if (action === 'branch') {
    if (repository.branches.has(branch)) return json(response, 409, { error: 'Reference already exists' })
    repository.branches.set(branch, new Map(repository.branches.get('main')))
    return json(response, 200, {})
  }
  const files = repository.branches.get(branch === commitId ? 'main' : branch)
  if (files === undefined) return json(response, 404, { error: 'Invalid rev id' })
  if (action === 'resolve') return resolve(files.get(file.join('/')), file.join('/'), method, response)
  if (action === 'tree')
    return json(
      response,
      200,
      [...files].map(([name, bytes]) => ({
        type: 'file',
        path: name,
        size: bytes.length,
        oid: gitHash(bytes),
        ...(isLarge(name) ? { lfs: { oid: sha256(bytes), size: bytes.length } } : {}),
      })),
    )
  if (action === 'preupload') {
    const asked = JSON.parse(String(at.body)) as { readonly files: readonly { readonly path: string }[] }
    return json(response, 200, {
      files: asked.files.map(({ path: name }) => ({ path: name, uploadMode: isLarge(name) ? 'lfs' : 'regular' })),
    })
  }
  for (const { key, value } of commitLines(at)) {
    if (key === 'file') files.set(value['path']!, Buffer.from(value['content']!, 'base64'))
    if (key === 'lfsFile') files.set(value['path']!, hub.objects.get(value['oid']!)!)
  }
  return json(response, 200, { commitOid: commitId, commitUrl: `${hub.url}/commit/${commitId}`, hookOutput: '' })
}

/** The operations of a commit. */
export const commitLines = ({ body }: Arrived): readonly { readonly key: string; readonly value: Readonly<Record<string, string>> }[] =>
  String(body)
    .split('\n')
    .map((line) => JSON.parse(line) as { readonly key: string; readonly value: Readonly<Record<string, string>> })

const batch = ({ body }: Arrived, response: ServerResponse): void => {
  const { objects } = JSON.parse(String(body)) as { readonly objects: readonly { readonly oid: string; readonly size: number }[] }
  const headers = (oid: string, size: number): object =>
    hub.partBytes === null
      ? {}
      : {
          header: {
            chunk_size: String(hub.partBytes),
            ...Object.fromEntries(
              Array.from({ length: Math.ceil(size / hub.partBytes) }, (_, i) => [
                String(i + 1),
                `${hub.storage}/storage/${oid}/${i + 1}?signed=1`,
              ]),
            ),
          },
        }
  json(response, 200, {
    transfer: hub.partBytes === null ? 'basic' : 'multipart',
    objects: objects.map(({ oid, size }) => ({
      oid,
      size,
      ...(hub.objects.has(oid) ? {} : { actions: { upload: { href: `${hub.storage}/storage/${oid}?signed=1`, ...headers(oid, size) } } }),
    })),
  })
}

const storage = ({ body, line, headers }: Arrived, name: string, response: ServerResponse): unknown => {
  const [oid = '', part] = name.split('/')
  if (line.startsWith('POST')) {
    const { parts } = JSON.parse(String(body)) as { readonly parts: readonly { readonly partNumber: number }[] }
    hub.objects.set(oid, Buffer.concat(parts.map(({ partNumber }) => hub.parts.get(`${oid}/${partNumber}`)!)))
    return json(response, 200, {})
  }
  if (headers['content-length'] === undefined) return response.writeHead(411).end() // as S3 does
  if (part === undefined) hub.objects.set(oid, body)
  else hub.parts.set(name, body)
  return response.writeHead(200, { etag: `"${sha256(body)}"` }).end()
}

const resolve = (bytes: Buffer | undefined, name: string, method: string, response: ServerResponse): unknown => {
  response.setHeader('x-repo-commit', commitId)
  if (bytes === undefined) return response.writeHead(404).end()
  response.writeHead(200, { etag: `"${isLarge(name) ? sha256(bytes) : gitHash(bytes)}"`, 'content-length': bytes.length })
  return response.end(method === 'HEAD' ? undefined : bytes)
}

/** Starts the hub for a test file; each test has an empty one. */
export const useUploadHub = (): void => {
  let server: Server
  beforeAll(async () => {
    server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const at = { line: `${request.method} ${request.url}`, headers: request.headers, body: Buffer.concat(chunks) }
      hub.arrived.push(at)
      answer(at, response)
    })
    await new Promise<void>((ready) => {
      server.listen(0, '127.0.0.1', ready)
    })
    const { port } = server.address() as AddressInfo
    hub.url = `http://127.0.0.1:${port}`
    hub.storage = `http://localhost:${port}`
  })
  beforeEach(() => {
    hub.arrived.length = 0
    for (const map of [hub.repositories, hub.objects, hub.parts]) map.clear()
    hub.partBytes = null
    hub.intercept = () => false
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })
}
