/** Who may ask a board: each thing that another page, another name or another key would lack is refused, and nothing is given away or changed. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startBoard, type Board } from '../../reporting/board/server.js'
import { idOf } from '../../reporting/board/watch.js'
import { writeRun } from '../property/reporting/reportRuns.js'
import { ask, askedByPage, followed, keyOf } from './asking.js'

let root = ''
let board: Board
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-gate-'))
  await mkdir(join(root, 'runs'))
  await writeRun(join(root, 'runs/secretive'), {})
  await writeFile(join(root, 'runs/secretive/notes.txt'), 'secret')
  board = await startBoard({ folder: join(root, 'runs'), port: 0, redis: null })
})
afterAll(async () => {
  await board.close()
  await rm(root, { recursive: true })
})

describe('the address', () => {
  it('is this machine’s own, with a key of 256 bits behind the #, which is never sent', () => {
    expect(board.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/#key=[0-9a-f]{64}$/)
  })

  it('has another key each time', async () => {
    const other = await startBoard({ folder: root, port: 0, redis: null })
    expect(keyOf(other)).not.toBe(keyOf(board))
    expect((await ask(board, '/live?view=list', { headers: askedByPage(other) })).status).toBe(403)
    await other.close()
  })
})

describe('whoever opens it without the key', () => {
  it('gets a page, a script and a style that hold nothing of the runs, under a strict policy', async () => {
    for (const path of ['/', '/board.js', '/board.css']) {
      const { status, headers, text } = await ask(board, path)
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

describe('what is refused', () => {
  const evil = { Host: 'rebound.example' }
  const own = (): Readonly<Record<string, string>> => askedByPage(board)
  const without = (name: string): Readonly<Record<string, string>> =>
    Object.fromEntries(Object.entries(own()).filter(([one]) => one !== name))
  it.each<readonly [string, string, string, () => Readonly<Record<string, string>>, number]>([
    ['no key', 'GET', '/live?view=list', () => without('Authorization'), 403],
    ['another key', 'GET', '/live?view=list', () => ({ ...own(), Authorization: `Bearer ${'0'.repeat(64)}` }), 403],
    ['a part of the key', 'GET', '/live?view=list', () => ({ ...own(), Authorization: own()['Authorization']?.slice(0, -1) ?? '' }), 403],
    ['the key in the address', 'GET', `/live?view=list&key=`, () => without('Authorization'), 403],
    ['another name of this machine', 'GET', '/live?view=list', () => ({ ...own(), ...evil }), 403],
    ['another name, for the page', 'GET', '/', () => evil, 403],
    ['another page, with the key', 'GET', '/live?view=list', () => ({ ...own(), Origin: 'http://localhost:1' }), 403],
    ['another site, as the browser says', 'GET', '/live?view=list', () => ({ ...own(), 'Sec-Fetch-Site': 'same-site' }), 403],
    ['to stop from another page', 'POST', '/stop', () => ({ ...own(), Origin: 'null' }), 403],
    ['to stop from no page', 'POST', '/stop', () => without('Origin'), 403],
    ['to stop without the key', 'POST', '/stop', () => without('Authorization'), 403],
    ['to stop as a form would', 'POST', '/stop', () => ({ ...own(), 'Content-Type': 'text/plain' }), 400],
    ['to stop by GET', 'GET', '/stop', own, 405],
    ['a stream by POST', 'POST', '/live?view=list', own, 405],
    ['PUT', 'PUT', '/stop', own, 405],
    ['OPTIONS, which would let other pages ask', 'OPTIONS', '/live', own, 405],
    ['a file by its name', 'GET', '/secretive/notes.txt', own, 404],
    ['a file by a way up', 'GET', '/../../etc/passwd', own, 404],
    ['a file by an encoded way up', 'GET', '/..%2f..%2fetc%2fpasswd', own, 404],
    ['a view that is none', 'GET', '/live?view=files', own, 400],
    ['more runs side by side than can be told apart', 'GET', `/live?view=compare${'&id=0'.repeat(11)}`, own, 400],
  ])('%s', async (_, method, path, headers, expected) => {
    const { status, text, headers: given } = await ask(board, path, { method, headers: headers() })
    expect([status, text]).not.toEqual([200, expect.anything()])
    expect(status).toBe(expected)
    expect(text).toMatch(/^\{"line":"[^"]+"\}\n$/)
    expect(text).not.toContain('secret')
    expect(given).not.toHaveProperty('access-control-allow-origin')
  })

  it('a body of more than a kilobyte, an id that is a path, and what is no HTTP', async () => {
    const ofPage = (body: string) => ask(board, '/stop', { method: 'POST', headers: askedByPage(board), body })
    expect((await ofPage(JSON.stringify({ id: 'x'.repeat(2_000) }))).status).toBe(500)
    for (const id of ['../runs/secretive', 'secretive', '', '__proto__'])
      expect(await ofPage(JSON.stringify({ id }))).toMatchObject({ status: 409, text: '{"line":"there is no such run here"}\n' })
    const socket = connect(board.port, '127.0.0.1')
    socket.write('nonsense\r\n\r\n')
    await new Promise((resolve) =>
      socket
        .on('close', resolve)
        .on('error', () => undefined)
        .resume(),
    )
    expect((await ask(board, '/')).status).toBe(200) // it goes on
  })
})

describe('whoever has the key', () => {
  it('is told what is there, also through a tunnel whose port is another', async () => {
    const view = await followed(board, `view=run&id=${idOf('secretive')}`)
    await expect.poll(() => view.parts()['run']).toMatchObject({ line: { name: 'secretive', state: 'finished' } })
    view.leave()
    const through = { Authorization: `Bearer ${keyOf(board)}`, Host: 'localhost:9999', Origin: 'http://localhost:9999' }
    expect((await ask(board, '/live?view=list', { headers: through })).status).toBe(200)
  })

  it('may follow on sixteen pages at once and no more, and one that is closed makes room', async () => {
    await expect.poll(async () => (await ask(board, '/live?view=list', { headers: askedByPage(board) })).status).toBe(200)
    const views = await Promise.all(Array.from({ length: 16 }, () => followed(board, 'view=list')))
    expect(await ask(board, '/live?view=list', { headers: askedByPage(board) })).toMatchObject({
      status: 503,
      text: '{"line":"expected at most 16 pages at once: close one"}\n',
    })
    views.pop()?.leave()
    await expect.poll(async () => (await ask(board, '/live?view=list', { headers: askedByPage(board) })).status).toBe(200)
    for (const view of views) view.leave()
  })
})
