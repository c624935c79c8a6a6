/** Wrong responses, redirects and silence of a hub end in one line each, and no partial file is ever used. */
import type { ServerResponse } from 'node:http'
import { readFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { request } from '../../../accelerated/checkpoints/hub/hubRequest.js'
import {
  answering,
  blobs,
  commit,
  forWeights,
  honest,
  message,
  places,
  requests,
  resolve,
  sendRange,
  sha256,
  useHub,
  W,
  weights,
} from './loopbackHub.js'

useHub()

describe('a hub with wrong responses', () => {
  const flat = (send: (response: ServerResponse) => void): void => {
    answering.storage = (_, response) => send(response)
  }

  it('is refused by the hash of the content', async () => {
    flat((response) => response.writeHead(200, { 'content-length': weights.length }).end(Buffer.alloc(weights.length, 1)))
    expect(await message()).toMatch(/expected the hash \w{64} that the hub gives, got \w{64} \(nothing of it is kept\)$/)
    expect((await blobs()).filter((name) => name.startsWith(sha256))).toEqual([])
    answering.hub = (request, response) => {
      response.setHeader('etag', `"${'0'.repeat(40)}"`)
      sendRange(request, response)
    }
    await rm(join(places.cache, 'models--me--model'), { recursive: true })
    expect(await message()).toMatch(/config\.json: expected the hash 0{40} that the hub gives, got [0-9a-f]{40} \(nothing of it is kept\)$/)
  })

  it('is refused if the length is shorter, longer, or not the one that it reported', async () => {
    flat((response) => {
      response.writeHead(200, { 'content-length': weights.length })
      response.write('half')
      setTimeout(() => response.destroy(), 20)
    })
    expect(await message()).toMatch(new RegExp(`^${W}: expected ${weights.length} bytes, got [04] \\(.*\\)$`))
    flat((response) => response.writeHead(200).end(Buffer.concat([weights, weights]))) // chunked: no length
    expect(await message()).toBe(`${W}: expected ${weights.length} bytes, got more`)
    flat((response) => response.writeHead(200, { 'content-length': 3 }).end('abc'))
    expect(await message()).toBe(`${W}: expected ${weights.length} bytes, as the hub says, got 3`)
    flat((response) => {
      response.socket?.write(`HTTP/1.1 200 OK\r\ncontent-length: ${weights.length}\r\nconnection: close\r\n\r\n`)
      response.socket?.end(Buffer.concat([weights, Buffer.from('more than announced')]))
    })
    // the surplus belongs to no answer: it is either never read or an error, and the file is right or absent
    const line = await message()
    if (line === 'no error')
      expect(await readFile(join(places.cache, 'models--me--model', 'snapshots', commit, 'model.safetensors'))).toEqual(weights)
  })

  it('is refused by the length if there is no hash', async () => {
    answering.hub = forWeights((_, response) => {
      response.writeHead(302, { location: `${places.storage}/model.safetensors`, 'x-linked-size': String(weights.length) }).end()
    })
    flat((response) => response.writeHead(200).end('abc')) // chunked
    expect(await message()).toBe(`${W}: expected ${weights.length} bytes, got 3`)
  })

  it('is refused before reading if a file is larger than any of its kind', async () => {
    answering.hub = (_, response) => {
      response.writeHead(200, { 'content-length': '99999999999', 'x-repo-commit': commit }).end('x')
    }
    expect(await message()).toMatch(/config\.json: expected at most 64000000 bytes, got 99999999999$/)
    answering.hub = honest({ 'x-linked-size': '50000000001' })
    flat((response) => response.writeHead(200).end('x'))
    expect(await message()).toBe(`${W}: expected at most 50000000000 bytes, got 50000000001`)
  })

  it('is refused if it sends another range', async () => {
    let first = true
    answering.storage = (_, response) => {
      response.writeHead(
        first ? 200 : 206,
        first ? { 'content-length': weights.length } : { 'content-range': 'bytes 7-9/10', 'content-length': 3 },
      )
      if (!first) return void response.end('abc')
      first = false
      response.write(weights.subarray(0, 100))
      setTimeout(() => response.destroy(), 200)
    }
    expect(await message()).toBe(`${W}: expected bytes from 100, got content-range bytes 7-9/10`)
  })

  it('cannot make a path of its hash', async () => {
    answering.hub = forWeights((request, response) => {
      response.setHeader('etag', '"../../../../escaped"')
      sendRange(request, response)
    })
    expect(await readFile(join((await resolve()).folder, 'model.safetensors'))).toEqual(weights)
    expect((await readdir(places.root)).filter((name) => name.startsWith('escaped'))).toEqual([])
  })

  it('cannot make a path of its commit', async () => {
    answering.hub = (request, response) => {
      response.setHeader('x-repo-commit', '../../../escaped')
      sendRange(request, response)
    }
    expect((await resolve()).revision).toBe('main')
    expect((await readdir(places.root)).filter((name) => name.startsWith('escaped'))).toEqual([])
  })
})

describe('a redirect', () => {
  it.each([
    ['file:///etc/passwd', 'one to file:'],
    ['ftp://127.0.0.1/x', 'one to ftp:'],
    ['data:text/plain,x', 'one to data:'],
    ['http://[', 'no address'],
  ])('a redirect to %s is not followed', async (location, got) => {
    answering.hub = forWeights((_, response) => {
      response.writeHead(302, { location }).end()
    })
    expect(await message()).toBe(`${W}: expected a redirect to http:// or https://, got ${got}`)
  })

  it('a redirect from https to http is not followed', async () => {
    const fetching = vi.fn(async () => new Response(null, { status: 302, headers: { location: 'http://hub.test/x' } }))
    const asking = { endpoint: 'https://hub.test', fetch: fetching, timeout: 1_000, firstDelay: 1, onWait: () => undefined }
    await expect(request(asking, 'https://hub.test/x', 'GET')).rejects.toThrow(
      'https://hub.test/x: expected a redirect to https://, got one to http:',
    )
    expect(fetching).toHaveBeenCalledTimes(1)
  })

  it('a redirect in a circle is followed five times', async () => {
    answering.hub = forWeights((request, response) => {
      response.writeHead(302, { location: request.url ?? '' }).end()
    })
    expect(await message()).toBe(`${W}: expected at most 5 redirects, got more`)
    expect(requests.filter(({ line }) => line.startsWith('GET') && line.endsWith('model.safetensors'))).toHaveLength(6)
  })

  it('takes neither hash nor commit from the storage server', async () => {
    answering.hub = (_, response) => {
      response.writeHead(302, { location: `${places.storage}${_.url}` }).end()
    }
    answering.storage = (request, response) => {
      response.setHeader('etag', `"${'f'.repeat(64)}"`)
      response.setHeader('x-repo-commit', 'f'.repeat(40))
      sendRange(request, response)
    }
    const { folder, revision } = await resolve()
    expect(revision).toBe('main')
    expect(await readFile(join(folder, 'model.safetensors'))).toEqual(weights)
  })
})

describe('a hub that fails', () => {
  it.each([
    [401, '401 (no such model, or one that needs HF_TOKEN)'],
    [403, '403 (no such model, or one that needs HF_TOKEN)'],
    [500, '500 Internal Server Error'],
    [503, '503 Service Unavailable'],
    [204, '204 No Content'],
    [206, '206 Partial Content'],
  ])('a hub with status %d is reported in one line', async (status, got) => {
    answering.hub = forWeights((_, response) => {
      response.writeHead(status, { 'retry-after': '301' }).end() // longer than anybody waits
    })
    expect(await message()).toBe(`${W}: expected status 200, got ${got}`)
    answering.hub = honest()
    answering.storage = (_, response) => {
      response.writeHead(status, { 'retry-after': '301' }).end() // longer than anybody waits
    }
    expect(await message()).toBe(`${W}: expected status 200, got ${got}`)
  })

  it('a hub with status 404 has no weights', async () => {
    answering.hub = forWeights((_, response) => {
      response.writeHead(404).end()
    })
    expect(await message()).toBe(`${W}: expected weights in safetensors, got none (pickled weights are not read)`)
  })

  it('a silent hub times out, before the response and within it', async () => {
    const environment = { HF_HUB_DOWNLOAD_TIMEOUT: '0.2' }
    answering.hub = () => undefined
    expect(await message({ environment })).toBe(
      'HUB/me/model/resolve/main/config.json: expected an answer from the hub, got silence for 0.2 s',
    )
    answering.hub = honest()
    answering.storage = (_, response) => {
      response.writeHead(200, { 'content-length': weights.length })
      response.write('half')
    }
    expect(await message({ environment })).toMatch(new RegExp(`^${W}: expected ${weights.length} bytes, got 4 \\(silence for 0\\.2 s\\)$`))
  })

  it('a hub address that is not of the web is refused', async () => {
    for (const wrong of ['file:///tmp', 'nonsense', 'ftp://x']) {
      expect(await message({ environment: { HF_ENDPOINT: wrong } })).toBe(`HF_ENDPOINT: expected an http or https address, got "${wrong}"`)
    }
  })
})
