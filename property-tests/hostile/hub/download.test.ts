/** A download from the hub has the layout of the standard cache, resumes after an interruption, and never uses a partial file. */
import { gzipSync } from 'node:zlib'
import { lstat, mkdir, readFile, readlink, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fileInFolder } from '../../../accelerated/storage/paths.js'
import { resolveModel } from '../../../accelerated/checkpoints/hub/hub.js'
import { place } from '../../../accelerated/checkpoints/hub/hubDownload.js'
import {
  answering,
  blobs,
  commit,
  files,
  gitHash,
  honest,
  message,
  nameOf,
  places,
  ranges,
  requests,
  resolve,
  sendRange,
  sha256,
  useHub,
  W,
  weights,
} from './loopbackHub.js'

useHub()

describe('a download from the hub', () => {
  it('has the layout of the standard cache, blobs by hash and links in the snapshot, and reports the commit', async () => {
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

  it('puts the files themselves into the snapshot if the system allows no links, as Windows does not without its developer mode', async () => {
    const { folder } = await resolve()
    const refused = (): Promise<void> => Promise.reject(Object.assign(new Error('EPERM'), { code: 'EPERM' }))
    for (const [name, content] of Object.entries(files)) {
      const blob = await realpath(join(folder, name))
      await rm(join(folder, name))
      await place(blob, join(folder, name), refused)
      expect((await lstat(join(folder, name))).isFile()).toBe(true)
      expect(await readFile(join(folder, name))).toEqual(content)
    }
    expect(await blobs()).toEqual([])
    expect((await resolve({ environment: { HF_HUB_OFFLINE: '1' } })).folder).toBe(folder)
  })

  it('ignores a ref that leads out of the cache', async () => {
    await resolve()
    const offline = { environment: { HF_HUB_OFFLINE: '1' } }
    await mkdir(join(places.cache, 'elsewhere'))
    for (const [name, content] of Object.entries(files)) await writeFile(join(places.cache, 'elsewhere', name), content)
    await writeFile(join(places.cache, 'models--me--model', 'refs', 'main'), '../../elsewhere')
    await expect(resolve(offline)).rejects.toThrow('no complete copy there')
  })

  it('accepts an endpoint with a slash at its end', async () => {
    await resolve({ environment: { HF_ENDPOINT: `${places.hub}/` } })
    expect(requests[0]?.line).toBe('HEAD /me/model/resolve/main/config.json')
  })

  it('sends the token to the hub only', async () => {
    await resolve()
    expect(requests.filter(({ host }) => host === 'hub').every(({ token }) => token === 'Bearer secret')).toBe(true)
    expect(requests.filter(({ host }) => host === 'storage').map(({ token }) => token)).toEqual([undefined])
  })

  it('resumes after a broken connection without requesting a byte twice', async () => {
    let broken = 0
    answering.storage = (request, response) => {
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
    const starts = requests.filter(({ host }) => host === 'storage').map(({ range }) => Number(/\d+/.exec(range ?? '')?.[0] ?? 0))
    expect(starts).toHaveLength(4)
    expect(starts).toEqual([...starts].sort((a, b) => a - b))
    expect(starts.every((start) => start % 5_000 === 0)).toBe(true)
    expect(starts[3]).toBeGreaterThan(0)
  })

  it('fails after two attempts without a byte, after six attempts, and at once if a retry cannot help', async () => {
    answering.storage = (_, response) => {
      response.writeHead(200, { 'content-length': weights.length }).flushHeaders()
      response.socket?.end()
    }
    expect(await message()).toMatch(new RegExp(`^${W}: expected ${weights.length} bytes, got 0 `))
    expect(ranges()).toEqual([undefined, undefined])
    answering.storage = (request, response) => {
      const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
      response.writeHead(from > 0 ? 206 : 200, {
        'content-length': weights.length - from,
        'content-range': `bytes ${from}-${weights.length - 1}/${weights.length}`,
      })
      response.write(weights.subarray(from, from + 1))
      setTimeout(() => response.destroy(), 300)
    }
    requests.length = 0
    expect(await message()).toMatch(new RegExp(`^${W}: expected ${weights.length} bytes, got [3-6] `)) // a busy machine may lose one
    expect(ranges()).toHaveLength(6)
    answering.storage = (request, response) => {
      // chunked, and too much
      response
        .writeHead(206, {
          'content-range': `bytes ${/\d+/.exec(request.headers.range ?? '0')?.[0]}-${weights.length - 1}/${weights.length}`,
        })
        .end(weights)
    }
    requests.length = 0
    expect(await message()).toBe(`${W}: expected ${weights.length} bytes, got more`)
    expect(ranges()).toEqual([undefined, expect.stringMatching(/^bytes=[3-6]-$/)]) // the hub's first answer leads there without a range
  })

  it('sends no request after it was aborted', async () => {
    const controller = new AbortController()
    answering.storage = (_, response) => {
      response.writeHead(200, { 'content-length': weights.length })
      response.write('half')
      setTimeout(() => controller.abort(), 100)
    }
    expect(await message({ signal: controller.signal })).toMatch(new RegExp(`^${W}: expected ${weights.length} bytes, got 4 \\(.*abort`))
  })

  it('accepts a slow response', async () => {
    answering.storage = (_, response) => {
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

  it('accepts a compressed response that it did not ask for', async () => {
    let agent: unknown
    answering.storage = (request, response) => {
      agent = request.headers['accept-encoding']
      const packed = gzipSync(weights)
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length }).end(packed)
    }
    expect(await readFile(join((await resolve()).folder, 'model.safetensors'))).toEqual(weights)
    expect(agent).toBe('identity') // so that lengths can be held against each other
  })

  it("takes the hash of the first response that has one, and prefers the linked file's hash", async () => {
    answering.hub = (request, response) => {
      const wrong = `"${'f'.repeat(64)}"`
      if (nameOf(request) !== 'model.safetensors') return honest()(request, response)
      if (request.url?.startsWith('/moved/') === true)
        response.writeHead(302, { location: `${places.storage}/model.safetensors`, 'x-linked-etag': wrong }).end()
      else response.writeHead(302, { location: '/moved/model.safetensors', etag: wrong, 'x-linked-etag': `"${sha256}"` }).end()
    }
    expect(await message()).toBe('no error')
    expect(await blobs()).toContain(sha256)
  })

  it('recognizes the hash in a weak ETag, and downloads no blob twice', async () => {
    const config = gitHash(files['config.json']!)
    await mkdir(join(places.cache, 'models--me--model', 'blobs'), { recursive: true })
    await writeFile(join(places.cache, 'models--me--model', 'blobs', sha256), 'what is there')
    answering.hub = (request, response) => {
      if (nameOf(request) !== 'config.json') return honest()(request, response)
      response
        .writeHead(200, { 'x-repo-commit': commit, etag: `W/"${config}"` })
        .end(request.method === 'HEAD' ? undefined : files['config.json'])
    }
    expect(await message()).toBe('no error')
    expect(await blobs()).toContain(config)
    expect(await readFile(join(places.cache, 'models--me--model', 'snapshots', commit, 'model.safetensors'), 'utf8')).toBe('what is there')
  })

  it('resumes what an earlier process left, and starts over if the server has no ranges', async () => {
    await mkdir(join(places.cache, 'models--me--model', 'blobs'), { recursive: true })
    const left = join(places.cache, 'models--me--model', 'blobs', `${sha256}.incomplete.left`)
    await writeFile(left, weights.subarray(0, 12_345))
    await resolve()
    expect(requests.filter(({ host }) => host === 'storage').map(({ range }) => range)).toEqual([undefined, 'bytes=12345-'])
    const anew = async (content: string | Buffer): Promise<void> => {
      await rm(join(places.cache, 'models--me--model'), { recursive: true })
      await mkdir(join(places.cache, 'models--me--model', 'blobs'), { recursive: true })
      await writeFile(left, content)
    }
    await anew(weights) // whole, but not yet known to be: nothing is left to send, which servers call 416
    expect(await readFile(join((await resolve()).folder, 'model.safetensors'))).toEqual(weights)
    await anew('x'.repeat(50_000)) // longer than the file, and wrong
    answering.storage = (_, response) => {
      response.writeHead(200, { 'content-length': weights.length }).end(weights)
    }
    expect(await readFile(join((await resolve()).folder, 'model.safetensors'))).toEqual(weights)
  })

  it('is refused by its hash after a wrong beginning of an earlier process, and succeeds the next time', async () => {
    await mkdir(join(places.cache, 'models--me--model', 'blobs'), { recursive: true })
    await writeFile(join(places.cache, 'models--me--model', 'blobs', `${sha256}.incomplete.left`), 'wrong')
    expect(await message()).toMatch(
      new RegExp(`^${W}: expected the hash ${sha256} that the hub gives, got [0-9a-f]{64} \\(nothing of it is kept\\)$`),
    )
    expect(await message()).toBe('no error')
  })

  it('does not write through a link in place of the partial file', async () => {
    await mkdir(join(places.cache, 'models--me--model', 'blobs'), { recursive: true })
    await writeFile(join(places.root, 'victim'), 'untouched')
    await symlink(join(places.root, 'victim'), join(places.cache, 'models--me--model', 'blobs', `${sha256}.incomplete.left`))
    expect(await message()).toMatch(/\.incomplete\.\S+: expected to write the file, got .*ELOOP/)
    expect(await readFile(join(places.root, 'victim'), 'utf8')).toBe('untouched')
  })
})
