/** What stands for Node in a browser, against Node: digests, UTF-8, and storages against the one in memory. */
import { isUtf8 } from 'node:buffer'
import { gunzipSync, gzipSync } from 'node:zlib'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { browserFiles, mounted } from '../../accelerated/storage/browser.js'
import { textSha256, sha256, isUtf8 as isUtf8InBrowser, inflate } from '../../accelerated/storage/nativeInBrowser.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { memoryStorage } from '../../accelerated/storage/memory.js'
import { fileExtension } from '../../accelerated/storage/paths.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { compressFiles } from '../../scripts/webPage.js'
import { served } from './browserRun.js'
import { fakeFolder } from './fakeFolder.js'

describe('the digests of a browser', () => {
  it("are Node's, in whatever pieces the bytes come", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 150 }), { maxLength: 6 }), (pieces) => {
        const [ours, theirs] = [sha256(), createHash('sha256')]
        for (const piece of pieces) {
          ours.update(piece)
          theirs.update(piece)
        }
        return ours.hex() === theirs.digest('hex')
      }),
    )
    const text = 'ä plain text'
    expect(Buffer.from(textSha256(text)).toString('hex')).toBe(createHash('sha256').update(text).digest('hex'))
  })
})

it('recognizes UTF-8 as Node does, across the pieces of a large text too', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 8 }), (bytes) => isUtf8InBrowser(bytes) === isUtf8(bytes)))
  const large = new TextEncoder().encode(`a${'€'.repeat(2 ** 21)}`)
  expect(isUtf8InBrowser(large)).toBe(true)
  expect(isUtf8InBrowser(large.subarray(0, -1))).toBe(false)
})

describe('gzip in a browser', () => {
  const inflated = async (packed: Uint8Array, cuts: readonly number[]): Promise<Buffer> => {
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      let at = 0
      for (const cut of [...cuts, packed.length].sort((one, other) => one - other)) {
        yield packed.subarray(at, cut)
        at = Math.min(cut, packed.length)
      }
    }
    const pieces: Uint8Array[] = []
    for await (const piece of inflate(chunks())) pieces.push(piece)
    return Buffer.concat(pieces)
  }

  it("is unpacked as Node's zlib does, in whatever pieces it comes", () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.array(fc.nat(2000), { maxLength: 5 }), async (bytes, cuts) => {
        const packed = gzipSync(bytes)
        expect(await inflated(packed, cuts)).toEqual(gunzipSync(packed))
      }),
    ))

  it('passes on the error of a storage, and fails for what is no whole gzip file', async () => {
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield gzipSync('a text').subarray(0, 5)
      throw inputError('reviews.csv', 'a readable file', 'one that has gone')
    }
    await expect(inflate(failing()).next()).rejects.toThrow('reviews.csv: expected a readable file, got one that has gone')
    const packed = gzipSync('a text')
    for (const wrong of [packed.subarray(0, -4), Buffer.from('a text'), Buffer.concat([packed.subarray(0, -8), Buffer.alloc(8, 1)])])
      await expect(inflated(wrong, [3])).rejects.toThrow()
  })

  it('stops reading the file when its reader stops', async () => {
    const packed = gzipSync(Buffer.alloc(100_000))
    let isClosed = false
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield packed
      } finally {
        isClosed = true
      }
    }
    for await (const piece of inflate(endless())) {
      expect(piece.length).toBeGreaterThan(0)
      break
    }
    await vi.waitFor(() => expect(isClosed).toBe(true))
  })
})

it('finds the ending of a name as Node does', () => {
  for (const name of ['a.csv', 'b/.csv', 'a.b/c', 'a.', '.', '..', 'x.tar.gz', '', 'a/b.TSV'])
    expect(fileExtension(name), name).toBe(extname(name))
})

const text = (of: string): Uint8Array => new TextEncoder().encode(of)
const read = async (storage: Storage, path: string): Promise<string> => {
  const file = await storage.open(path)
  return new TextDecoder().decode(await file.read(0, file.size))
}

/** What a storage says to each of these calls: a value, or the line of its error. */
const said = async (storage: Storage): Promise<readonly unknown[]> => {
  const answers: unknown[] = []
  const ask = async (call: () => Promise<unknown>): Promise<void> => {
    answers.push(await call().catch((thrown: unknown) => (thrown as Error).message))
  }
  const kind = async (path: string) => (await storage.stat(path))?.kind ?? null
  await ask(() => storage.write('a/x', 'one'))
  await ask(() => storage.makeFolder('a/b'))
  await ask(() => storage.makeFolder('a/b', { recursive: true }))
  await ask(() => storage.makeFolder('a'))
  await ask(() => storage.write('a/x', [text('o'), text('ne')]))
  await ask(() => storage.write('a/b', 'a folder'))
  await ask(() => read(storage, 'a/x'))
  await ask(async () => (await storage.open('a/x')).read(1, 2))
  await ask(async () => (await storage.open('a/x')).read(1, 3))
  await ask(() => storage.open('a/b'))
  await ask(() => storage.open('a/none'))
  await ask(async () => [...(await storage.list('a'))].sort())
  await ask(() => storage.list('none'))
  await ask(() => storage.rename('a/x', 'a/b/y'))
  await ask(() => storage.rename('a/x', 'a/z'))
  await ask(async () => [await kind('a/x'), await kind('a/b/y'), await kind('a/b'), await kind('a/b/y/z'), await kind('')])
  await ask(() => storage.realPath('a/b/'))
  await ask(() => storage.realPath('a/c'))
  await ask(() => storage.remove('a/b'))
  await ask(() => storage.remove('a/b/y'))
  await ask(() => storage.remove('a/b/y'))
  return answers
}

describe('the storage of a browser', () => {
  it('answers as the one in memory', async () => {
    const expected = await said(memoryStorage())
    expect(expected[6]).toBe('one')
    expect(await said(browserFiles(fakeFolder()))).toEqual(expected)
    expect(await said(mounted(browserFiles(fakeFolder()), 'models/m', new Map()))).toEqual(expected)
  })

  it('has another version after each write', async () => {
    const storage = browserFiles(fakeFolder())
    await storage.write('x', 'one')
    const before = await storage.stat('x')
    await storage.write('x', 'two')
    expect((await storage.stat('x'))?.version).not.toBe(before?.version)
  })

  it('leaves the file as it was, or none, where the space ends or the content fails', async () => {
    const storage = browserFiles(fakeFolder(10))
    await storage.write('old', '0123456789')
    const full = "to write the file, got no space left in the browser's storage for this page (QuotaExceededError)"
    await expect(storage.write('old', 'more than ten')).rejects.toThrow(`old: expected ${full}`)
    await expect(storage.write('new', 'more than ten')).rejects.toThrow(full)
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield text('01')
      throw new Error('its own')
    }
    await expect(storage.write('new', failing())).rejects.toThrow('its own')
    expect(await read(storage, 'old')).toBe('0123456789')
    expect(await storage.list('')).toEqual(['old'])
  })

  it('mounts files that are only read', async () => {
    const storage = mounted(browserFiles(fakeFolder()), 'models/m', new Map([['config.json', new Blob(['{}'])]]))
    expect(await read(storage, 'models/m/config.json')).toBe('{}')
    expect(await storage.list('models/m')).toEqual(['config.json'])
    expect(await storage.realPath('models/m/config.json')).toBe('models/m/config.json')
    await expect(storage.realPath('models/m/other')).rejects.toThrow('no such file')
    await expect(storage.write('models/m/x', '')).rejects.toThrow('only read')
    expect(await storage.stat('models/mx')).toBeNull()
  })
})

it('sends a large file of the page compressed to whoever reads Brotli, and as it is to others', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'salora-page-'))
  const bytes = Buffer.from('the same forty bytes, again and again. '.repeat(10_000))
  for (const name of ['large.wasm', 'model.safetensors']) await writeFile(join(folder, name), bytes)
  await writeFile(join(folder, 'index.html'), 'small')
  await compressFiles(folder)
  const server = await served(folder)
  try {
    const request = async (name: string, encoding: string) => {
      const response = await fetch(server.url + name, { headers: { 'accept-encoding': encoding } })
      const [sent, size] = [response.headers.get('content-encoding'), Number(response.headers.get('content-length'))]
      expect(Buffer.from(await response.arrayBuffer()).equals(name === 'index.html' ? Buffer.from('small') : bytes), name).toBe(true)
      return [sent, size < bytes.length / 100]
    }
    for (const name of ['large.wasm', 'model.safetensors']) {
      expect(await request(name, 'gzip, br')).toEqual(['br', true])
      expect(await request(name, 'identity')).toEqual([null, false])
    }
    expect(await request('index.html', 'br')).toEqual([null, true])
  } finally {
    server.close()
    await rm(folder, { recursive: true })
  }
})
