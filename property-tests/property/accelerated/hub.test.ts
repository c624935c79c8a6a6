/** Finding a model by name: folders, the cache, and downloads from a hub on the loopback. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { lineInFlags } from '../../../finetuning/commandLine/optionNames.js'
import type { AddressInfo } from 'node:net'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { InputError } from '../../../accelerated/errors/inputError.js'
import { downloadReporter, onDownloadProgress } from '../../../accelerated/checkpoints/hub/hubDownload.js'
import { resolveAdapter, resolveModel, type HubOptions } from '../../../accelerated/checkpoints/hub/hub.js'

const commit = '0123456789abcdef0123456789abcdef01234567'
/** Weights in safetensors that are ASCII throughout. */
const weights = (content: string): string => {
  const header = JSON.stringify({ w: { dtype: 'U8', shape: [content.length], data_offsets: [0, content.length] } })
  return String.fromCharCode(header.length, 0, 0, 0, 0, 0, 0, 0) + header + content
}
const files = {
  ...{ 'config.json': '{"a":1}', 'tokenizer.json': '{"b":2}', 'tokenizer_config.json': '{}', 'chat_template.jinja': '{{ messages }}' },
  'generation_config.json': '{"eos_token_id":3}',
  'model.safetensors': weights('w'.repeat(100_000)),
}

let root = ''
let server: Server
let endpoint = ''
let cache = ''
let requests: string[] = []
let answer: (request: IncomingMessage, response: ServerResponse) => void = () => undefined

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-hub-'))
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    answer(request, response)
  })
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening)
  })
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
beforeEach(async () => {
  cache = await mkdtemp(join(root, 'cache-'))
  requests = []
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((closed) => server.close(closed))
  await rm(root, { recursive: true })
})

/** Asks for a longer wait than a download takes. */
const busy = { 'retry-after': '301' }

/** A hub with these files at any revision; its answers name the commit. */
const serving =
  (stored: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>> = { 'x-repo-commit': commit }) =>
  (request: IncomingMessage, response: ServerResponse): void => {
    const content = stored[request.url?.replace(/^.*\/resolve\/[^/]+\//, '') ?? '']
    const length = content === undefined ? {} : { 'content-length': String(Buffer.byteLength(content)) }
    response.writeHead(content === undefined ? 404 : 200, { ...headers, ...length }).end(request.method === 'HEAD' ? undefined : content)
  }

const resolve = (model: string, options: HubOptions = {}) =>
  resolveModel(model, { ...options, environment: { HF_ENDPOINT: endpoint, SALORA_CACHE: cache, ...options.environment } })

const messageFor = async (model: string, options?: HubOptions): Promise<string> =>
  resolve(model, options).then(
    () => 'no error',
    (thrown: unknown) => {
      expect(thrown).toBeInstanceOf(InputError)
      const message = lineInFlags(thrown)
      expect(message).not.toContain('\n')
      return message.replaceAll(endpoint, 'HUB').replaceAll(cache, 'CACHE')
    },
  )

describe('a model name', () => {
  it('a model name that is an existing folder needs no request', async () => {
    expect(await resolve(root)).toEqual({ folder: root, baseModelName: root, revision: null })
    expect(requests).toEqual([])
  })

  it.each(['../nowhere', './x', '/no/such/folder', 'a/b/c', 'a\\b', 'a--b', 'a..b', '-a', 'a/', '', 'a b', 'a/b?c', 'x'.repeat(97)])(
    'refuses %j, which is neither a folder nor a hub id',
    async (model) => {
      expect(await messageFor(model)).toMatch(
        /^--model ".*": expected a folder in Hugging Face layout, a hub id like FacebookAI\/roberta-base, or embedded, got neither$/,
      )
      expect(requests).toEqual([])
    },
  )

  it('is refused if it is a file, or with a revision that would leave the cache', async () => {
    const file = join(root, 'file')
    await writeFile(file, '')
    expect(await messageFor(file)).toBe(
      `--model "${file}": expected a folder in Hugging Face layout, a hub id like FacebookAI/roberta-base, or embedded, got a file`,
    )
    expect(await messageFor('a/b', { revision: '../..' })).toBe(
      'a/b: expected a revision of letters, digits, ".", "_" and "-", got "../.."',
    )
  })
})

describe('downloading a model', () => {
  it('gets the files of one commit, and afterwards those of the cache', async () => {
    answer = serving(files)
    const progress: string[] = []
    const { folder, baseModelName } = await resolve('me/model', {
      onProgress: ({ file, received, total }) => {
        if (received === total) progress.push(file)
      },
    })
    expect(baseModelName).toBe('me/model')
    expect(folder).toBe(join(cache, 'models--me--model', 'snapshots', commit))
    for (const [name, content] of Object.entries(files)) expect(await readFile(join(folder, name), 'utf8')).toBe(content)
    expect((await readdir(folder)).sort()).toEqual(Object.keys(files).sort())
    expect(await readFile(join(cache, 'models--me--model', 'refs', 'main'), 'utf8')).toBe(commit)
    expect(progress).toEqual(Object.keys(files))
    expect(requests[0]).toBe('HEAD /me/model/resolve/main/config.json')
    expect(requests.slice(1).every((line) => line.startsWith(`GET /me/model/resolve/${commit}/`))).toBe(true)

    requests = []
    expect((await resolve('me/model')).folder).toBe(folder)
    expect((await resolve('me/model', { environment: { HF_HUB_OFFLINE: '1' } })).folder).toBe(folder)
    expect(requests).toEqual([])
  })

  it('gets an adapter with the tokenizer of its added tokens', async () => {
    const { 'config.json': _, 'model.safetensors': ofModel, ...tokenizer } = files
    const stored = { 'adapter_config.json': '{}', 'salora.json': '{}', ...tokenizer, 'adapter_model.safetensors': ofModel }
    answer = serving(stored)
    const folder = await resolveAdapter('me/adapter', { environment: { HF_ENDPOINT: endpoint, SALORA_CACHE: cache } })
    expect((await readdir(folder)).sort()).toEqual(Object.keys(stored).sort())
  })

  it('gets every shard of the index', async () => {
    const { 'model.safetensors': _, ...rest } = files
    const index = JSON.stringify({ weight_map: { x: 'model-1.safetensors', y: 'model-2.safetensors', z: 'model-1.safetensors' } })
    answer = serving({
      ...rest,
      'model.safetensors.index.json': index,
      'model-1.safetensors': weights('1'),
      'model-2.safetensors': weights('2'),
    })
    const { folder } = await resolve('model')
    expect(await readFile(join(folder, 'model-1.safetensors'), 'utf8')).toBe(weights('1'))
    expect(await readFile(join(folder, 'model-2.safetensors'), 'utf8')).toBe(weights('2'))
    requests = []
    await resolve('model')
    expect(requests).toEqual([])
  })

  it('refuses an index that leads out of the cache', async () => {
    const { 'model.safetensors': _, ...rest } = files
    answer = serving({ ...rest, 'model.safetensors.index.json': JSON.stringify({ weight_map: { x: '../../../x.safetensors' } }) })
    expect(await messageFor('model')).toContain(
      'expected shards named like model-00001-of-00002.safetensors, in the same folder, got "../../../x.safetensors"',
    )
  })

  it('waits where the hub is busy, as long as it asks, and says so', async () => {
    const lines: string[] = []
    onDownloadProgress((line) => lines.push(line))
    const busyAnswers: [number, Record<string, string>][] = [
      [429, { ratelimit: '"resolvers";r=0;t=2' }],
      [503, {}],
    ]
    answer = (request, response) => {
      const [status, headers] = (request.method === 'GET' && request.url?.endsWith('tokenizer.json') && busyAnswers.shift()) || [200, {}]
      if (status === 200) serving(files)(request, response)
      else response.writeHead(status, headers).end()
    }
    const start = performance.now()
    const { folder } = await resolve('me/model')
    expect(await readFile(join(folder, 'tokenizer.json'), 'utf8')).toBe(files['tokenizer.json'])
    expect(performance.now() - start).toBeGreaterThan(3_900)
    const { host } = new URL(endpoint)
    expect(lines).toEqual([`waiting 2 s for the hub (status 429 from ${host})`, `waiting 2 s for the hub (status 503 from ${host})`])
    onDownloadProgress(() => undefined)
  })

  it('ends where the hub asks for a longer wait than five minutes', async () => {
    answer = (_, response) => {
      response.writeHead(429, busy).end()
    }
    expect(await messageFor('me/model')).toBe(
      'HUB/me/model/resolve/main/config.json: expected status 200, got 429 (too many requests: wait a few minutes, or set HF_TOKEN)',
    )
  })

  it("finds the downloads of Python's tools in the hub's cache", async () => {
    const model = join(cache, 'hub', 'models--me--model')
    await mkdir(join(model, 'refs'), { recursive: true })
    await mkdir(join(model, 'snapshots', commit), { recursive: true })
    await writeFile(join(model, 'refs', 'main'), commit)
    for (const [name, content] of Object.entries(files)) await writeFile(join(model, 'snapshots', commit, name), content)
    const { folder } = await resolveModel('me/model', { environment: { HF_HOME: cache, HF_HUB_OFFLINE: 'true' } })
    expect(folder).toBe(join(model, 'snapshots', commit))
  })

  it('follows a renamed model, and uses the revision if the server gives no commit', async () => {
    answer = (request, response) => {
      if (request.url?.startsWith('/old/')) response.writeHead(307, { location: request.url.replace('/old/', '/me/new/') }).end()
      else serving(files)(request, response)
    }
    expect((await resolve('old')).folder).toBe(join(cache, 'models--old', 'snapshots', commit))
    answer = serving(files, {})
    expect((await resolve('plain', { revision: 'v1.0' })).folder).toBe(join(cache, 'models--plain', 'snapshots', 'v1.0'))
  })

  it.each<readonly [string, Readonly<Record<string, string>>, string | undefined]>([
    ['of HF_TOKEN', { HF_TOKEN: 'secret' }, 'Bearer secret'],
    ['of HF_TOKEN as a file of one line has it', { HF_TOKEN: ' secret\n' }, 'Bearer secret'],
    ['that hf auth login stored', {}, 'Bearer stored'],
    ['of HF_TOKEN before a stored one', { HF_TOKEN: 'given' }, 'Bearer given'],
    ...['', ' ', '\n'].map(
      (empty) => [`that is empty: ${JSON.stringify(empty)}`, { HF_TOKEN: empty, HF_HOME: '/none' }, undefined] as const,
    ),
  ])('sends the token %s', async (_, variables, expected) => {
    const headers: (string | undefined)[] = []
    answer = (request, response) => {
      headers.push(request.headers.authorization)
      serving(files)(request, response)
    }
    await mkdir(join(cache, 'login'), { recursive: true })
    await writeFile(join(cache, 'login', 'token'), 'stored\n')
    await resolve('model', { environment: { HF_HOME: join(cache, 'login'), SALORA_CACHE: cache, ...variables } })
    expect(new Set(headers)).toEqual(new Set([expected]))
  })

  it('shows neither a token nor a password in any error', async () => {
    const wrong = [
      { HF_TOKEN: 'hf_secret\nexport X=1' },
      { HF_TOKEN: 'hf_secret\u0000' },
      { HF_TOKEN: 'hf_secret with spaces' },
      { HF_TOKEN: 'hf_secretⓐ' },
      { HF_ENDPOINT: endpoint.replace('//', '//me:hf_secret@') },
      { HF_ENDPOINT: endpoint.replace('//', '//hf_secret@') },
      { HF_ENDPOINT: 'me:hf_secret@hub' },
      { HF_ENDPOINT: 'https://me:hf_secret@[' },
      { HF_ENDPOINT: `${endpoint}?token=hf_secret` },
      { HF_ENDPOINT: `${endpoint}#hf_secret` },
    ]
    for (const environment of wrong) {
      const line = await messageFor('me/model', { environment })
      expect(line).toMatch(new RegExp(`^${Object.keys(environment)[0]}: expected .*, got .+$`))
      expect(line).not.toContain('hf_secret')
    }
    expect(requests).toEqual([])
  })

  it('treats an empty variable as unset', async () => {
    answer = serving(files)
    const environment = { SALORA_CACHE: '', HF_HUB_CACHE: '', HF_HOME: '', XDG_CACHE_HOME: cache, HF_HUB_OFFLINE: '' }
    const { folder } = await resolve('me/model', { environment })
    expect(folder).toBe(join(cache, 'huggingface', 'hub', 'models--me--model', 'snapshots', commit))
    await expect(resolve('me/other', { environment: { ...environment, HF_ENDPOINT: '', HF_HUB_OFFLINE: '1' } })).rejects.toThrow(
      'no complete copy there',
    )
  })

  it('places no page in place of a chat template, which may begin with a token', async () => {
    answer = serving({ ...files, 'chat_template.jinja': '\n<!DOCTYPE html><title>Log in</title>' })
    expect(await messageFor('me/model')).toMatch(/expected a chat template, got a web page/)
    answer = serving({ ...files, 'chat_template.jinja': '<s>{{ messages }}' })
    const { folder } = await resolve('me/model')
    expect(await readFile(join(folder, 'chat_template.jinja'), 'utf8')).toBe('<s>{{ messages }}')
  })

  it.each(['config.json', 'tokenizer_config.json', 'model.safetensors'])(
    'places no page that something on the way answers with in place of %s, and fetches the file when it is gone',
    async (name) => {
      for (const headers of [{}, { 'x-repo-commit': commit }]) {
        const page = '\n<!DOCTYPE html><title>Log in</title>'
        answer = serving({ ...files, [name]: page }, headers)
        expect(await messageFor('me/model')).toMatch(
          /expected (JSON|weights in safetensors), got a web page \(of a proxy, or to log in\?\)/,
        )
        answer = serving({ ...files, [name]: 'Please log in.' }, headers)
        expect(await messageFor('me/model')).toMatch(/: expected .*, got .*; nothing of it is kept$/)
        answer = serving({ ...files, [name]: name.endsWith('.json') ? '[1]' : files['model.safetensors'].slice(0, -1) }, headers)
        expect(await messageFor('me/model')).toMatch(/: expected .*, got .*; nothing of it is kept$/)
        answer = serving(files, headers)
        const { folder } = await resolve('me/model')
        expect((await readdir(folder)).sort()).toEqual(Object.keys(files).sort())
        expect(await readFile(join(folder, name), 'utf8')).toBe(files[name as keyof typeof files])
        await rm(cache, { recursive: true })
      }
    },
  )
})

describe('an error with a hub', () => {
  it('names a model that is absent, needs a token, or has only pickled weights', async () => {
    answer = serving({})
    expect(await messageFor('me/model')).toBe(
      `HUB/me/model/resolve/${commit}/config.json: expected config.json in the model's repository, got none (no such model or revision?)`,
    )
    answer = (_, response) => {
      response.writeHead(401).end()
    }
    expect(await messageFor('me/model')).toBe(
      'HUB/me/model/resolve/main/config.json: expected status 200, got 401 (no such model, or one that needs HF_TOKEN)',
    )
    const { 'model.safetensors': _, ...rest } = files
    answer = serving(rest)
    expect(await messageFor('me/other')).toBe(
      `HUB/me/other/resolve/${commit}/model.safetensors: expected weights in safetensors, got none (pickled weights are not read)`,
    )
  })

  it('is not waited for after an abort', async () => {
    const controller = new AbortController()
    answer = (request, response) => {
      if (!request.url?.endsWith('model.safetensors') || request.method === 'HEAD') return serving(files)(request, response)
      response.writeHead(200, { 'content-length': '1000' })
      response.write('half')
      setTimeout(() => controller.abort(), 20)
    }
    expect(await messageFor('me/model', { signal: controller.signal })).toMatch(/expected 1000 bytes, got [04] \(.*abort.*\)$/)
  })

  it('names a hub that does not respond, and an absent model when offline', async () => {
    const closed = createServer()
    await new Promise<void>((listening) => {
      closed.listen(0, '127.0.0.1', listening)
    })
    const nobody = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`
    await new Promise((done) => closed.close(done))
    expect(await messageFor('me/model', { environment: { HF_ENDPOINT: nobody } })).toMatch(
      /^http:\/\/127\.0\.0\.1:\d+\/me\/model\/resolve\/main\/config\.json: expected an answer from the hub, got fetch failed: .*ECONNREFUSED.*$/,
    )
    expect(await messageFor('me/model', { environment: { HF_HUB_OFFLINE: '1' } })).toBe(
      'me/model: expected the model in CACHE/models--me--model (offline, by --offline or HF_HUB_OFFLINE), got no complete copy there',
    )
    // a name of one word may have been meant as a folder
    expect(await messageFor('reviews', { environment: { HF_HUB_OFFLINE: '1' } })).toBe(
      'reviews: expected the model in CACHE/models--reviews (offline, by --offline or HF_HUB_OFFLINE), got no complete copy there, and no folder reviews here',
    )
    answer = serving({})
    expect(await messageFor('reviews')).toMatch(
      /^HUB\/reviews\/.*config\.json: expected config\.json in the model's repository, got none \(no such model or revision\?\), and no folder reviews here$/,
    )
  })
})

describe('the progress of a download', () => {
  it('is a line after a second and then every ten seconds, without one at the end', () => {
    let now = 0
    const lines: string[] = []
    const report = downloadReporter(
      (line) => lines.push(`${now}: ${line}`),
      () => now,
    )
    const at = (time: number, received: number, file = 'model.safetensors', total: number | undefined = 1.5e9): void => {
      now = time
      report({ file, received, total })
    }
    at(0, 0, 'config.json', 600)
    at(500, 1e6)
    at(1400, 2e8)
    at(1600, 3e8)
    at(9000, 4e8)
    at(12_000, 5e8)
    at(30_000, 1.5e9)
    report({ file: 'other.safetensors', received: 0, total: undefined })
    now = 32_000
    report({ file: 'other.safetensors', received: 7e6, total: undefined })
    expect(lines).toEqual([
      '1600: downloading model.safetensors, 300 of 1,500 MB',
      '12000: downloading model.safetensors, 500 of 1,500 MB',
      '32000: downloading other.safetensors, 7 MB',
    ])
  })
})
