/** A hub that lies, breaks off, leads elsewhere or says nothing: one clear line each, and nothing half-written is ever used. */
import { createHash } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { gzipSync } from 'node:zlib'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, readFile, readdir, readlink, rm, symlink, mkdir, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { Mistake } from '../../accelerated/files/mistake.js'
import { ask } from '../../accelerated/files/hub/hubAnswer.js'
import { writeSafetensors } from '../../accelerated/files/safetensors/writeSafetensors.js'
import { fileInFolder } from '../../accelerated/files/safetensors/weightFiles.js'
import { resolveModel, type HubOptions } from '../../accelerated/files/hub/hub.js'

type Answer = (request: IncomingMessage, response: ServerResponse) => void
const here = hostname().replace(/[^\w-]/g, '_')
const commit = '0123456789abcdef0123456789abcdef01234567'
const data = Float32Array.from({ length: 9_980 }, (_, i) => (i * 7919) % 251)
const weights = Buffer.from(writeSafetensors(new Map([['w', { shape: [data.length], data }]])))
const files: Readonly<Record<string, Buffer>> = {
  'config.json': Buffer.from('{"a":1}'),
  'tokenizer.json': Buffer.from('{"b":2}'),
  'model.safetensors': weights,
}
const sha256 = createHash('sha256').update(weights).digest('hex')
const gitHash = (content: Buffer): string => createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')

let root = ''
let cache = ''
const servers: Server[] = []
let [endpoint, storage] = ['', '']
let asked: { readonly host: string; readonly line: string; readonly token: string | undefined; readonly range: string | undefined }[] = []
let hub: Answer = () => undefined
let store: Answer = () => undefined

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-hostile-hub-'))
  const listening = async (host: string, answer: Answer): Promise<string> => {
    const server = createServer((request, response) => {
      asked.push({ host, line: `${request.method} ${request.url}`, token: request.headers.authorization, range: request.headers.range })
      answer(request, response)
    })
    servers.push(server)
    await new Promise<void>((ready) => {
      server.listen(0, '127.0.0.1', ready)
    })
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  endpoint = await listening('hub', (request, response) => hub(request, response))
  storage = await listening('storage', (request, response) => store(request, response))
})
beforeEach(async () => {
  cache = await mkdtemp(join(root, 'cache-'))
  asked = []
  hub = honest()
  store = sendRange
})
afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  await rm(root, { recursive: true })
})

const nameOf = (request: IncomingMessage): string => request.url?.split('/').at(-1) ?? ''

/** The file, from where the range asks. */
const sendRange: Answer = (request, response) => {
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

/** As the real hub: small files itself, with git's hash; weights by a redirect to the storage, with SHA-256 and size on the hub's own answer. */
const honest =
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
        location: `${storage}/lfs/model.safetensors`,
        'x-linked-etag': `"${sha256}"`,
        'x-linked-size': String(weights.length),
        ...linked,
      })
      .end()
  }

/** Another answer for the weights on the hub's first address; everything else honest. */
const forWeights =
  (answer: Answer): Answer =>
  (request, response) => {
    if (nameOf(request) === 'model.safetensors') answer(request, response)
    else honest()(request, response)
  }

const resolve = (options: HubOptions = {}) =>
  resolveModel('me/model', {
    ...options,
    environment: { HF_ENDPOINT: endpoint, SALORA_CACHE: cache, HF_TOKEN: 'secret', ...options.environment },
  })

const message = async (options?: HubOptions): Promise<string> => {
  const said = await resolve(options).then(
    () => 'no error',
    (thrown: unknown) => {
      expect(thrown).toBeInstanceOf(Mistake)
      return (thrown as Error).message
    },
  )
  expect(said).not.toContain('\n')
  // whatever went wrong, no weights are in the snapshot, and offline nothing is found
  if (said !== 'no error') {
    expect(
      await readdir(join(cache, 'models--me--model', 'snapshots', commit)).then(
        (names) => names.includes('model.safetensors'),
        () => false,
      ),
    ).toBe(false)
    for (const revision of ['main', commit])
      await expect(resolve({ revision, environment: { HF_HUB_OFFLINE: '1' } })).rejects.toThrow('no complete copy there')
  }
  return said.replaceAll(endpoint, 'HUB').replaceAll(storage, 'STORE')
}
const W = `HUB/me/model/resolve/${commit}/model.safetensors`
/** Ranges that the storage was asked for. */
const ranges = () => asked.filter(({ host }) => host === 'storage').map(({ range }) => range)
const blobs = () => readdir(join(cache, 'models--me--model', 'blobs'))

describe('a download from the hub', () => {
  it('is laid out as the standard cache: blobs by hash, links in the snapshot; the commit is reported', async () => {
    const { folder, revision } = await resolve()
    expect(revision).toBe(commit)
    expect((await blobs()).sort()).toEqual([gitHash(files['config.json']!), gitHash(files['tokenizer.json']!), sha256].sort())
    for (const name of Object.keys(files)) {
      expect(await readlink(join(folder, name))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]+$/) // so that the cache can be moved
      expect(await readFile(join(folder, name))).toEqual(files[name])
      expect(await fileInFolder(folder, name)).toBe(join(folder, name))
    }
    expect((await resolve({ environment: { HF_HUB_OFFLINE: '1' } })).revision).toBe(commit)
    expect((await resolveModel(folder)).revision).toBe(commit)
  })

  it('is not taken from where a ref leads out of the cache', async () => {
    await resolve()
    const offline = { environment: { HF_HUB_OFFLINE: '1' } }
    await mkdir(join(cache, 'elsewhere'))
    for (const [name, content] of Object.entries(files)) await writeFile(join(cache, 'elsewhere', name), content)
    await writeFile(join(cache, 'models--me--model', 'refs', 'main'), '../../elsewhere')
    await expect(resolve(offline)).rejects.toThrow('no complete copy there')
  })

  it('is the same from an endpoint with a slash at its end', async () => {
    await resolve({ environment: { HF_ENDPOINT: `${endpoint}/` } })
    expect(asked[0]?.line).toBe('HEAD /me/model/resolve/main/config.json')
  })

  it('sends the token to the hub and to nobody else', async () => {
    await resolve()
    expect(asked.filter(({ host }) => host === 'hub').every(({ token }) => token === 'Bearer secret')).toBe(true)
    expect(asked.filter(({ host }) => host === 'storage').map(({ token }) => token)).toEqual([undefined])
  })

  it('goes on by itself where the connection broke, and asks for no byte twice', async () => {
    let broken = 0
    store = (request, response) => {
      if (broken++ >= 3) return sendRange(request, response)
      const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
      response.writeHead(from > 0 ? 206 : 200, {
        'content-length': weights.length - from,
        ...(from > 0 ? { 'content-range': `bytes ${from}-${weights.length - 1}/${weights.length}` } : {}),
      })
      response.write(weights.subarray(from, from + 5_000))
      setTimeout(() => response.destroy(), 100)
    }
    const { folder } = await resolve()
    expect(await readFile(join(folder, 'model.safetensors'))).toEqual(weights)
    // a busy machine may lose the bytes of an answer that broke; whatever came is not asked for again
    const starts = asked.filter(({ host }) => host === 'storage').map(({ range }) => Number(/\d+/.exec(range ?? '')?.[0] ?? 0))
    expect(starts).toHaveLength(4)
    expect(starts).toEqual([...starts].sort((a, b) => a - b))
    expect(starts.every((start) => start % 5_000 === 0)).toBe(true)
    expect(starts[3]).toBeGreaterThan(0)
  })

  it('gives up after two attempts without a byte, after six with one each, and at once where asking again would not help', async () => {
    store = (_, response) => {
      response.writeHead(200, { 'content-length': weights.length }).flushHeaders()
      response.socket?.end()
    }
    expect(await message()).toMatch(new RegExp(`^${W}: expected ${weights.length} bytes, found 0 `))
    expect(ranges()).toEqual([undefined, undefined])
    store = (request, response) => {
      const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
      response.writeHead(from > 0 ? 206 : 200, {
        'content-length': weights.length - from,
        'content-range': `bytes ${from}-${weights.length - 1}/${weights.length}`,
      })
      response.write(weights.subarray(from, from + 1))
      setTimeout(() => response.destroy(), 300)
    }
    asked = []
    expect(await message()).toMatch(new RegExp(`^${W}: expected ${weights.length} bytes, found [3-6] `)) // a busy machine may lose one
    expect(ranges()).toHaveLength(6)
    store = (request, response) => {
      // chunked, and too much
      response
        .writeHead(206, {
          'content-range': `bytes ${/\d+/.exec(request.headers.range ?? '0')?.[0]}-${weights.length - 1}/${weights.length}`,
        })
        .end(weights)
    }
    asked = []
    expect(await message()).toBe(`${W}: expected ${weights.length} bytes, found more`)
    expect(ranges()).toEqual([undefined, expect.stringMatching(/^bytes=[3-6]-$/)]) // the hub's first answer leads there without a range
  })

  it('asks no more once it is told to stop', async () => {
    const controller = new AbortController()
    store = (_, response) => {
      response.writeHead(200, { 'content-length': weights.length })
      response.write('half')
      setTimeout(() => controller.abort(), 100)
    }
    expect(await message({ signal: controller.signal })).toMatch(new RegExp(`^${W}: expected ${weights.length} bytes, found 4 \\(.*abort`))
  })

  it('takes an answer that is slow, but not silent', async () => {
    store = (_, response) => {
      response.writeHead(200, { 'content-length': weights.length })
      let sent = 0
      const sending = setInterval(() => {
        response.write(weights.subarray(sent, sent + 4_000))
        sent += 4_000
        if (sent < weights.length) return
        clearInterval(sending)
        response.end()
      }, 300)
    }
    expect(await message({ environment: { HF_HUB_DOWNLOAD_TIMEOUT: '2' } })).toBe('no error') // three seconds in all
    expect(ranges()).toEqual([undefined])
  })

  it('takes an answer that is compressed though it asked for none', async () => {
    let wanted: unknown
    store = (request, response) => {
      wanted = request.headers['accept-encoding']
      const packed = gzipSync(weights)
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed)
    }
    expect(await readFile(join((await resolve()).folder, 'model.safetensors'))).toEqual(weights)
    expect(wanted).toBe('identity') // so that lengths can be held against each other
  })

  it('believes the first answer that names a hash, and of one answer the hash of what is linked', async () => {
    hub = (request, response) => {
      const wrong = `"${'f'.repeat(64)}"`
      if (nameOf(request) !== 'model.safetensors') return honest()(request, response)
      if (request.url?.startsWith('/moved/') === true)
        response.writeHead(302, { location: `${storage}/model.safetensors`, 'x-linked-etag': wrong }).end()
      else response.writeHead(302, { location: '/moved/model.safetensors', etag: wrong, 'x-linked-etag': `"${sha256}"` }).end()
    }
    expect(await message()).toBe('no error')
    expect(await blobs()).toContain(sha256)
  })

  it('knows a weak ETag by its hash, and fetches no blob that it has', async () => {
    const config = gitHash(files['config.json']!)
    await mkdir(join(cache, 'models--me--model', 'blobs'), { recursive: true })
    await writeFile(join(cache, 'models--me--model', 'blobs', sha256), 'what is there')
    hub = (request, response) => {
      if (nameOf(request) !== 'config.json') return honest()(request, response)
      response
        .writeHead(200, { 'x-repo-commit': commit, etag: `W/"${config}"` })
        .end(request.method === 'HEAD' ? undefined : files['config.json'])
    }
    expect(await message()).toBe('no error')
    expect(await blobs()).toContain(config)
    expect(await readFile(join(cache, 'models--me--model', 'snapshots', commit, 'model.safetensors'), 'utf8')).toBe('what is there')
  })

  it('goes on with what an earlier process left, and with all of it where the server knows no ranges', async () => {
    await mkdir(join(cache, 'models--me--model', 'blobs'), { recursive: true })
    const left = join(cache, 'models--me--model', 'blobs', `${sha256}.incomplete.left`)
    await writeFile(left, weights.subarray(0, 12_345))
    await resolve()
    expect(asked.filter(({ host }) => host === 'storage').map(({ range }) => range)).toEqual([undefined, 'bytes=12345-'])
    const anew = async (content: string | Buffer): Promise<void> => {
      await rm(join(cache, 'models--me--model'), { recursive: true })
      await mkdir(join(cache, 'models--me--model', 'blobs'), { recursive: true })
      await writeFile(left, content)
    }
    await anew(weights) // whole, but not yet known to be: nothing is left to send, which servers call 416
    expect(await readFile(join((await resolve()).folder, 'model.safetensors'))).toEqual(weights)
    await anew('x'.repeat(50_000)) // longer than the file, and wrong
    store = (_, response) => {
      response.writeHead(200, { 'content-length': weights.length }).end(weights)
    }
    expect(await readFile(join((await resolve()).folder, 'model.safetensors'))).toEqual(weights)
  })

  it('what an earlier process left is not trusted: with a wrong beginning the hash refuses it, and the next try is right', async () => {
    await mkdir(join(cache, 'models--me--model', 'blobs'), { recursive: true })
    await writeFile(join(cache, 'models--me--model', 'blobs', `${sha256}.incomplete.left`), 'wrong')
    expect(await message()).toMatch(
      new RegExp(`^${W}: expected the hash ${sha256} that the hub gives, found [0-9a-f]{64} \\(nothing of it is kept\\)$`),
    )
    expect(await message()).toBe('no error')
  })

  it('a link in place of the unfinished file is not written through', async () => {
    await mkdir(join(cache, 'models--me--model', 'blobs'), { recursive: true })
    await writeFile(join(root, 'victim'), 'untouched')
    await symlink(join(root, 'victim'), join(cache, 'models--me--model', 'blobs', `${sha256}.incomplete.left`))
    expect(await message()).toMatch(/\.incomplete\.\S+: expected to write the file, found .*ELOOP/)
    expect(await readFile(join(root, 'victim'), 'utf8')).toBe('untouched')
  })
})

describe('two downloads of one model at the same time', () => {
  /** The weights in ten pieces, with pauses. */
  const slowly: Answer = (request, response) => {
    const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': weights.length - from,
      ...(from > 0 ? { 'content-range': `bytes ${from}-${weights.length - 1}/${weights.length}` } : {}),
    })
    const send = (at: number): void => {
      if (at >= weights.length) return void response.end()
      response.write(weights.subarray(at, at + 4_000))
      setTimeout(() => send(at + 4_000), 20)
    }
    send(from)
  }

  it.each([0, 100, 300])('both end well, the second begun %d ms after the first', async (wait) => {
    store = slowly
    const first = resolve()
    await new Promise((done) => {
      setTimeout(done, wait)
    })
    const [one, two] = await Promise.all([first, resolve()])
    expect(two).toEqual(one)
    expect(await readFile(join(one.folder, 'model.safetensors'))).toEqual(weights)
    expect((await blobs()).filter((name) => name.includes('incomplete'))).toEqual([])
  })

  it('the one that gets a wrong answer takes nothing from the other', async () => {
    // Who is answered when is settled by events, not by a clock: the first only once the second is being answered, which ends last.
    const events = new EventEmitter()
    const firstAsked = once(events, 'first asked')
    const secondAsked = once(events, 'second asked')
    const firstEnded = once(events, 'first ended')
    let answers = 0
    store = (_, response) => {
      response.writeHead(200, { 'content-length': weights.length })
      if (answers++ === 0) {
        response.write(weights.subarray(0, 20_000), () => events.emit('first asked'))
        void secondAsked.then(() => response.end(weights.subarray(20_000)))
      } else {
        response.write(Buffer.alloc(20_000, 1), () => events.emit('second asked'))
        void firstEnded.then(() => response.end(Buffer.alloc(weights.length - 20_000, 1)))
      }
    }
    const first = resolve()
    await firstAsked
    const second = resolve().then(
      () => 'no error',
      (thrown: unknown) => String(thrown),
    )
    expect(await readFile(join((await first).folder, 'model.safetensors'))).toEqual(weights)
    events.emit('first ended')
    expect(await second).toContain('(nothing of it is kept)')
    expect(await readFile(join((await first).folder, 'model.safetensors'))).toEqual(weights)
    expect(answers).toBe(2)
  })

  it('what a killed process left is gone on with, what a living one is writing is not touched', async () => {
    const folder = join(cache, 'models--me--model', 'blobs')
    await mkdir(folder, { recursive: true })
    const [dead, living, elsewhere] = [
      [here, 2 ** 22 + 1],
      [here, process.pid],
      ['another-machine', 2 ** 22 + 1],
    ].map(([host, pid]) => `${sha256}.incomplete.${host}.${pid}.0123456789ab`)
    for (const name of [dead, living, elsewhere]) await writeFile(join(folder, name ?? ''), weights.subarray(0, 12_345))
    await resolve()
    expect(ranges()).toEqual([undefined, 'bytes=12345-'])
    expect((await blobs()).filter((name) => name.includes('incomplete')).sort()).toEqual([living, elsewhere].sort())
  })
})

describe('a hub that lies', () => {
  const flat = (send: (response: ServerResponse) => void): void => {
    store = (_, response) => send(response)
  }

  it('about the content: the hash refuses it', async () => {
    flat((response) => response.writeHead(200, { 'content-length': weights.length }).end(Buffer.alloc(weights.length, 1)))
    expect(await message()).toMatch(/expected the hash \w{64} that the hub gives, found \w{64} \(nothing of it is kept\)$/)
    expect((await blobs()).filter((name) => name.startsWith(sha256))).toEqual([])
    hub = (request, response) => {
      response.setHeader('etag', `"${'0'.repeat(40)}"`)
      sendRange(request, response)
    }
    await rm(join(cache, 'models--me--model'), { recursive: true })
    expect(await message()).toMatch(
      /config\.json: expected the hash 0{40} that the hub gives, found [0-9a-f]{40} \(nothing of it is kept\)$/,
    )
  })

  it('about the length: shorter, longer, and other than the hub says', async () => {
    flat((response) => {
      response.writeHead(200, { 'content-length': weights.length })
      response.write('half')
      setTimeout(() => response.destroy(), 20)
    })
    expect(await message()).toMatch(new RegExp(`^${W}: expected ${weights.length} bytes, found [04] \\(.*\\)$`))
    flat((response) => response.writeHead(200).end(Buffer.concat([weights, weights]))) // chunked: no length
    expect(await message()).toBe(`${W}: expected ${weights.length} bytes, found more`)
    flat((response) => response.writeHead(200, { 'content-length': 3 }).end('abc'))
    expect(await message()).toBe(`${W}: expected ${weights.length} bytes, as the hub says, found 3`)
    flat((response) => {
      response.socket?.write(`HTTP/1.1 200 OK\r\ncontent-length: ${weights.length}\r\nconnection: close\r\n\r\n`)
      response.socket?.end(Buffer.concat([weights, Buffer.from('more than was said')]))
    })
    // the surplus belongs to no answer: it is either never read or an error, and the file is right or absent
    const said = await message()
    if (said === 'no error')
      expect(await readFile(join(cache, 'models--me--model', 'snapshots', commit, 'model.safetensors'))).toEqual(weights)
  })

  it('about the length, without a hash to tell', async () => {
    hub = forWeights((_, response) => {
      response.writeHead(302, { location: `${storage}/model.safetensors`, 'x-linked-size': String(weights.length) }).end()
    })
    flat((response) => response.writeHead(200).end('abc')) // chunked
    expect(await message()).toBe(`${W}: expected ${weights.length} bytes, found 3`)
  })

  it('about its size: more than any file of its kind is refused before it is read', async () => {
    hub = (_, response) => {
      response.writeHead(200, { 'content-length': '99999999999', 'x-repo-commit': commit }).end('x')
    }
    expect(await message()).toMatch(/config\.json: expected at most 64000000 bytes, found 99999999999$/)
    hub = honest({ 'x-linked-size': '50000000001' })
    flat((response) => response.writeHead(200).end('x'))
    expect(await message()).toBe(`${W}: expected at most 50000000000 bytes, found 50000000001`)
  })

  it('about the range it sends', async () => {
    let first = true
    store = (_, response) => {
      response.writeHead(
        first ? 200 : 206,
        first ? { 'content-length': weights.length } : { 'content-range': 'bytes 7-9/10', 'content-length': 3 },
      )
      if (!first) return void response.end('abc')
      first = false
      response.write(weights.subarray(0, 100))
      setTimeout(() => response.destroy(), 200)
    }
    expect(await message()).toBe(`${W}: expected bytes from 100, found content-range bytes 7-9/10`)
  })

  it('about a hash that is no hash: it is not a path', async () => {
    hub = forWeights((request, response) => {
      response.setHeader('etag', '"../../../../escaped"')
      sendRange(request, response)
    })
    expect(await readFile(join((await resolve()).folder, 'model.safetensors'))).toEqual(weights)
    expect((await readdir(root)).filter((name) => name.startsWith('escaped'))).toEqual([])
  })

  it('about a commit that is no commit: it is not a path', async () => {
    hub = (request, response) => {
      response.setHeader('x-repo-commit', '../../../escaped')
      sendRange(request, response)
    }
    expect((await resolve()).revision).toBe('main')
    expect((await readdir(root)).filter((name) => name.startsWith('escaped'))).toEqual([])
  })
})

describe('a hub that leads elsewhere', () => {
  it.each([
    ['file:///etc/passwd', 'one to file:'],
    ['ftp://127.0.0.1/x', 'one to ftp:'],
    ['data:text/plain,x', 'one to data:'],
    ['http://[', 'no address'],
  ])('to %s is not followed', async (location, found) => {
    hub = forWeights((_, response) => {
      response.writeHead(302, { location }).end()
    })
    expect(await message()).toBe(`${W}: expected a redirect to http:// or https://, found ${found}`)
  })

  it('from https to http is not followed', async () => {
    const fetching = vi
      .spyOn(globalThis, 'fetch')
      .mockImplementation(async () => new Response(null, { status: 302, headers: { location: 'http://hub.test/x' } }))
    try {
      const asking = { endpoint: 'https://hub.test', patience: 1_000 }
      await expect(ask(asking, 'https://hub.test/x', 'GET')).rejects.toThrow(
        'https://hub.test/x: expected a redirect to https://, found one to http:',
      )
      expect(fetching).toHaveBeenCalledTimes(1)
    } finally {
      fetching.mockRestore()
    }
  })

  it('in a circle is left after five', async () => {
    hub = forWeights((request, response) => {
      response.writeHead(302, { location: request.url ?? '' }).end()
    })
    expect(await message()).toBe(`${W}: expected at most 5 redirects, found more`)
    expect(asked.filter(({ line }) => line.startsWith('GET') && line.endsWith('model.safetensors'))).toHaveLength(6)
  })

  it('does not let the storage name the hash or the commit, where the hub names none', async () => {
    hub = (_, response) => {
      response.writeHead(302, { location: `${storage}${_.url}` }).end()
    }
    store = (request, response) => {
      response.setHeader('etag', `"${'f'.repeat(64)}"`)
      response.setHeader('x-repo-commit', 'f'.repeat(40))
      sendRange(request, response)
    }
    const { folder, revision } = await resolve()
    expect(revision).toBe('main')
    expect(await readFile(join(folder, 'model.safetensors'))).toEqual(weights)
  })
})

describe('a hub that does not help', () => {
  it.each([
    [401, '401 (no such model, or one that needs HF_TOKEN)'],
    [403, '403 (no such model, or one that needs HF_TOKEN)'],
    [500, '500 Internal Server Error'],
    [503, '503 Service Unavailable'],
    [204, '204 No Content'],
    [206, '206 Partial Content'],
  ])('with status %d is told in one line', async (status, found) => {
    hub = forWeights((_, response) => {
      response.writeHead(status).end()
    })
    expect(await message()).toBe(`${W}: expected status 200, found ${found}`)
    hub = honest()
    store = (_, response) => {
      response.writeHead(status).end()
    }
    expect(await message()).toBe(`${W}: expected status 200, found ${found}`)
  })

  it('with status 404 has no weights', async () => {
    hub = forWeights((_, response) => {
      response.writeHead(404).end()
    })
    expect(await message()).toBe(`${W}: expected weights in safetensors, found none (pickled weights are not read)`)
  })

  it('by silence is left, before the answer and within it', async () => {
    const environment = { HF_HUB_DOWNLOAD_TIMEOUT: '0.2' }
    hub = () => undefined
    expect(await message({ environment })).toBe(
      'HUB/me/model/resolve/main/config.json: expected an answer from the hub, found silence for 0.2 s',
    )
    hub = honest()
    store = (_, response) => {
      response.writeHead(200, { 'content-length': weights.length })
      response.write('half')
    }
    expect(await message({ environment })).toMatch(
      new RegExp(`^${W}: expected ${weights.length} bytes, found 4 \\(silence for 0\\.2 s\\)$`),
    )
  })

  it('by no address of the web is refused', async () => {
    for (const wrong of ['file:///tmp', 'nonsense', 'ftp://x']) {
      expect(await message({ environment: { HF_ENDPOINT: wrong } })).toBe(
        `HF_ENDPOINT: expected an http or https address, found "${wrong}"`,
      )
    }
  })
})
