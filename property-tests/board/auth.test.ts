/** Authorization of the board: a request without the token, or from another page or host name, is rejected and reveals nothing. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBoard, type Board } from '../../reporting/board/server.js'
import { hashName } from '../../reporting/board/watch.js'
import { writeRun } from '../property/reporting/reportRuns.js'
import { follow, pageHeaders, send, tokenOf } from './boardClient.js'

let root = ''
let board: Board
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-auth-'))
  await mkdir(join(root, 'runs'))
  await writeRun(join(root, 'runs/secretive'), {})
  await writeFile(join(root, 'runs/secretive/notes.txt'), 'secret')
  board = await startBoard({ folder: join(root, 'runs'), port: 0 })
})
afterAll(async () => {
  await board.close()
  await rm(root, { recursive: true })
})

describe('the URL of a board', () => {
  it('is local and has a 256-bit token behind the #, which browsers never send', () => {
    expect(board.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#token=[0-9a-f]{64}$/)
  })

  it('has a new token for each board', async () => {
    const other = await startBoard({ folder: root, port: 0 })
    expect(tokenOf(other)).not.toBe(tokenOf(board))
    expect((await send(board, '/events?view=list', { headers: pageHeaders(other) })).status).toBe(403)
    await other.close()
  })
})

describe('a browser without the token', () => {
  it('gets the page, its script and its style, which contain nothing of the runs, under a strict content security policy', async () => {
    for (const path of ['/', '/board.js', '/board.css']) {
      const { status, headers, text } = await send(board, path)
      expect(status).toBe(200)
      expect(text).not.toMatch(/secretive/)
      expect(headers['content-security-policy']).toMatch(
        /^default-src 'none'; script-src 'self'; style-src 'self'; .*frame-ancestors 'none'$/,
      )
      expect(headers['content-security-policy']).not.toMatch(/unsafe|\*/)
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-store',
        'cross-origin-resource-policy': 'same-origin',
      })
      expect(headers).not.toHaveProperty('set-cookie')
      expect(headers).not.toHaveProperty('access-control-allow-origin')
    }
  })
})

describe('the board rejects', () => {
  const evil = { Host: 'rebound.example' }
  const valid = (): Readonly<Record<string, string>> => pageHeaders(board)
  const without = (name: string): Readonly<Record<string, string>> =>
    Object.fromEntries(Object.entries(valid()).filter(([header]) => header !== name))
  it.each<readonly [string, string, string, () => Readonly<Record<string, string>>, number]>([
    ['a request without a token', 'GET', '/events?view=list', () => without('Authorization'), 403],
    ['another token', 'GET', '/events?view=list', () => ({ ...valid(), Authorization: `Bearer ${'0'.repeat(64)}` }), 403],
    [
      'a truncated token',
      'GET',
      '/events?view=list',
      () => ({ ...valid(), Authorization: valid()['Authorization']?.slice(0, -1) ?? '' }),
      403,
    ],
    ['a token in the URL', 'GET', '/events?view=list&token=', () => without('Authorization'), 403],
    ['another host name', 'GET', '/events?view=list', () => ({ ...valid(), ...evil }), 403],
    ['another host name for the page', 'GET', '/', () => evil, 403],
    ['another page with the token', 'GET', '/events?view=list', () => ({ ...valid(), Origin: 'http://localhost:1' }), 403],
    [
      'a request that the browser marks as from another site',
      'GET',
      '/events?view=list',
      () => ({ ...valid(), 'Sec-Fetch-Site': 'same-site' }),
      403,
    ],
    ['a stop request from another page', 'POST', '/stop', () => ({ ...valid(), Origin: 'null' }), 403],
    ['a stop request without an origin', 'POST', '/stop', () => without('Origin'), 403],
    ['a stop request without a token', 'POST', '/stop', () => without('Authorization'), 403],
    ['a stop request in the format of a form', 'POST', '/stop', () => ({ ...valid(), 'Content-Type': 'text/plain' }), 400],
    ['a stop request by GET', 'GET', '/stop', valid, 405],
    ['a sentence from another page', 'POST', '/predict', () => ({ ...valid(), Origin: 'null' }), 403],
    ['a sentence without an origin', 'POST', '/predict', () => without('Origin'), 403],
    ['a sentence without a token', 'POST', '/predict', () => without('Authorization'), 403],
    ['a sentence by GET', 'GET', '/predict', valid, 405],
    ['a sentence without a text', 'POST', '/predict', valid, 400],
    ['an event stream by POST', 'POST', '/events?view=list', valid, 405],
    ['PUT', 'PUT', '/stop', valid, 405],
    ['OPTIONS, with which a browser asks for permission for other pages', 'OPTIONS', '/events', valid, 405],
    ['a file of the folder', 'GET', '/secretive/notes.txt', valid, 404],
    ['a path traversal', 'GET', '/../../etc/passwd', valid, 404],
    ['an encoded path traversal', 'GET', '/..%2f..%2fetc%2fpasswd', valid, 404],
    ['an unknown view', 'GET', '/events?view=files', valid, 400],
    ['a comparison of too many runs', 'GET', `/events?view=compare${'&id=0'.repeat(11)}`, valid, 400],
  ])('%s', async (_, method, path, headers, expected) => {
    const { status, text, headers: received } = await send(board, path, { method, headers: headers() })
    expect([status, text]).not.toEqual([200, expect.anything()])
    expect(status).toBe(expected)
    expect(text).toMatch(/^\{"message":"[^"]+"\}$/)
    expect(text).not.toContain('secret')
    expect(received).not.toHaveProperty('access-control-allow-origin')
  })

  it('a body of more than a kilobyte, a path as id, and a request that is not HTTP', async () => {
    const sendStop = (body: string) => send(board, '/stop', { method: 'POST', headers: pageHeaders(board), body })
    expect((await sendStop(JSON.stringify({ id: 'x'.repeat(2_000) }))).status).toBe(413)
    for (const id of ['../runs/secretive', 'secretive', '', '__proto__'])
      expect(await sendStop(JSON.stringify({ id }))).toMatchObject({ status: 409, text: '{"message":"unknown run"}' })
    const socket = connect(board.port, '127.0.0.1')
    socket.write('nonsense\r\n\r\n')
    await new Promise((resolve) =>
      socket
        .on('close', resolve)
        .on('error', () => undefined)
        .resume(),
    )
    expect((await send(board, '/')).status).toBe(200) // it still answers
  })
})

describe('a page with the token', () => {
  it('receives the state of a run, also through a tunnel with another port', async () => {
    const view = await follow(board, `view=run&id=${hashName('secretive')}`)
    await expect.poll(() => view.state().run).toMatchObject({ line: { name: 'secretive', status: 'finished' } })
    view.close()
    const through = { Authorization: `Bearer ${tokenOf(board)}`, Host: 'localhost:9999', Origin: 'http://localhost:9999' }
    expect((await send(board, '/events?view=list', { headers: through })).status).toBe(200)
  })

  it('is one of at most sixteen, and closing one makes room for another', async () => {
    await expect.poll(async () => (await send(board, '/events?view=list', { headers: pageHeaders(board) })).status).toBe(200)
    const views = await Promise.all(Array.from({ length: 16 }, () => follow(board, 'view=list')))
    expect(await send(board, '/events?view=list', { headers: pageHeaders(board) })).toMatchObject({
      status: 503,
      text: '{"message":"expected at most 16 open pages; close one"}',
    })
    views.pop()?.close()
    await expect.poll(async () => (await send(board, '/events?view=list', { headers: pageHeaders(board) })).status).toBe(200)
    for (const view of views) view.close()
  })
})

describe('connections that send nothing', () => {
  it('do not lock the owner out: the oldest gives way, and each is closed when its time is over', async () => {
    const silent = Array.from({ length: 80 }, () => {
      const socket = connect(board.port, '127.0.0.1').on('error', () => undefined)
      socket.write('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n')
      return socket.resume()
    })
    await Promise.all(silent.slice(-1).map((socket) => new Promise((resolve) => socket.once('connect', resolve))))
    expect((await send(board, '/')).status).toBe(200)
    const page = await follow(board, 'view=list')
    for (const socket of silent.slice(0, 60)) await expect.poll(() => socket.closed).toBe(true)
    expect((await send(board, '/', { headers: pageHeaders(board) })).status).toBe(200)
    page.close()
    for (const socket of silent) socket.destroy()
  })
})
