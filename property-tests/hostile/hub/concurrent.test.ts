/** Concurrent downloads of one model, in one process and beside leftovers of other processes, do not disturb each other. */
import { EventEmitter, once } from 'node:events'
import { hostname } from 'node:os'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { answering, blobs, places, ranges, resolve, sha256, type Answer, useHub, weights } from './loopbackHub.js'

useHub()

const here = hostname().replace(/[^\w-]/g, '_')

describe('concurrent downloads of one model', () => {
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

  it.each([0, 100, 300])('both succeed if the second starts %d ms after the first', async (wait) => {
    answering.storage = slowly
    const first = resolve()
    await new Promise((done) => {
      setTimeout(done, wait)
    })
    const [one, two] = await Promise.all([first, resolve()])
    expect(two).toEqual(one)
    expect(await readFile(join(one.folder, 'model.safetensors'))).toEqual(weights)
    expect((await blobs()).filter((name) => name.includes('incomplete'))).toEqual([])
  })

  it('both succeed except the one that gets wrong bytes', async () => {
    // Who is answered when is settled by events, not by a clock: the first only once the second is being answered, which ends last.
    const events = new EventEmitter()
    const firstAsked = once(events, 'first asked')
    const secondAsked = once(events, 'second asked')
    const firstEnded = once(events, 'first ended')
    let answers = 0
    answering.storage = (_, response) => {
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

  it('resume what a killed process left, and do not touch what a living one writes', async () => {
    const folder = join(places.cache, 'models--me--model', 'blobs')
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
