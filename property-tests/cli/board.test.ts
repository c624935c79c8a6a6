/** salora board: an address in one JSON document, Ctrl-C, the queue with a real redis-server, and one clear line for whatever cannot be. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { queueName } from '../../evaluation/glue/cellJob.js'
import { startBoard } from '../../reporting/board/server.js'
import { followed } from '../board/asking.js'
import { writeRun } from '../property/reporting/reportRuns.js'
import { hasRedis, startRedis } from '../support/redisServer.js'
import { saloraHere } from './inProcess.js'
import { program } from './spawnSalora.js'

let root = ''
const at = (...path: ReadonlyArray<string>): string => join(root, ...path)
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-board-'))
  await writeRun(at('runs/one'), {})
  await writeFile(at('file'), '')
})
afterAll(() => rm(root, { recursive: true }))

const children: ChildProcess[] = []
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
})

describe('salora board', () => {
  it('tells where it is as JSON, answers there, and ends by Ctrl-C with exit code 0 while a page looks', async () => {
    const child = spawn(process.execPath, [program, 'board', 'runs', '--port', '0', '--json', '--redis', 'redis://127.0.0.1:1'], {
      cwd: root,
    })
    children.push(child)
    let [stdout, stderr] = ['', '']
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    for await (const piece of child.stdout.setEncoding('utf8')) {
      stdout += String(piece)
      if (stdout.endsWith('}\n')) break
    }
    const told = JSON.parse(stdout) as { readonly folder: string; readonly port: number; readonly url: string }
    expect(told).toEqual({
      folder: at('runs'),
      port: expect.any(Number),
      url: expect.stringMatching(new RegExp(`^http://127\\.0\\.0\\.1:${told.port}/#key=[0-9a-f]{64}$`)),
    })
    const view = await followed({ ...told, close: async () => undefined }, 'view=list')
    await expect.poll(() => (view.parts()['order'] as ReadonlyArray<string> | undefined)?.length).toBe(1)
    const queue = () => (view.parts()['about'] as { readonly queue: { readonly problem: string } | null } | undefined)?.queue?.problem
    await expect.poll(queue).toMatch(/^Redis at redis:\/\/127\.0\.0\.1:1 does not answer/) // which is not fatal
    const exited = once(child, 'exit')
    child.kill('SIGINT')
    expect(await exited).toEqual([0, null])
    expect(stderr).toBe('closing\n')
  })

  it('waits in a folder in which nothing is yet', async () => {
    await mkdir(at('empty'))
    const board = await startBoard({ folder: at('empty'), port: 0, redis: null })
    const view = await followed(board, 'view=list')
    await expect.poll(() => view.parts()['order']).toEqual([])
    await writeRun(at('empty/first'), {})
    await expect.poll(() => (view.parts()['order'] as ReadonlyArray<string> | undefined)?.length).toBe(1)
    view.leave()
    await board.close()
  })

  it('says in one line that its port is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const address = other.address()
    const port = String(typeof address === 'object' && address !== null ? address.port : 0)
    const { code, stdout, stderr } = await saloraHere('board', at('runs'), '--port', port)
    other.close()
    expect([code, stdout, stderr]).toEqual([1, '', `--port ${port}: expected a free port (--port 0 takes any), got one in use\n`])
  })

  it.each<readonly [string, ReadonlyArray<string>, RegExp, number]>([
    ['no folder', [], /^salora board: expected a folder, got none given\n$/, 2],
    ['two folders', ['runs', 'file'], /^salora board: expected one folder, got 2\n$/, 2],
    ['a folder that is none', ['file'], /file: expected a folder, got a file\n$/, 1],
    ['a folder that is not there', ['absent'], /absent: expected a folder, got none there\n$/, 1],
    ['a port that is none', ['runs', '--port', '70000'], /^--port: expected a whole number from 0 to 65535, got 70000\n$/, 2],
    ['a port that is no number', ['runs', '--port', 'x'], /^--port: expected a number, got "x"\n$/, 2],
    [
      'an address that is no Redis',
      ['runs', '--port', '0', '--redis', 'http://x'],
      /^--redis: expected redis:\/\/HOST:PORT.*, got http:\/\/\n$/,
      2,
    ],
  ])('says in one line what is wrong: %s', async (_, args, message, code) => {
    const found = await saloraHere('board', ...args.map((arg) => (['runs', 'file', 'absent'].includes(arg) ? at(arg) : arg)))
    expect(found.stderr).toMatch(message)
    expect(found.stderr.trimEnd().split('\n')).toHaveLength(1)
    expect([found.code, found.stdout]).toEqual([code, ''])
  })
})

describe.skipIf(!hasRedis)('the queue (skipped where there is no redis-server)', () => {
  it('is told by counts and by whose it is, whatever a job holds; a Redis that comes back is asked again, and one that is gone is told', async () => {
    await mkdir(at('redis'))
    const redis = await startRedis(at('redis'))
    const queue = new Queue(queueName, { connection: { url: redis.url, maxRetriesPerRequest: null } })
    queue.on('error', () => undefined)
    for (const [id, output] of [
      ['a', '/sweeps/one'],
      ['b', '/sweeps/one'],
      ['c', '/sweeps/<b>two'],
    ])
      await queue.add('cell', { cell: { id }, output })
    await queue.add('cell', 'no cell', { delay: 600_000 })
    const board = await startBoard({ folder: at('runs'), port: 0, redis: redis.url })
    const view = await followed(board, 'view=list')
    const told = () => (view.parts()['about'] as { readonly queue: unknown } | undefined)?.queue
    const full = {
      address: redis.url,
      counts: { active: 0, waiting: 3, delayed: 1, failed: 0 },
      owners: [
        { folder: '/sweeps/one', active: 0, waiting: 2, delayed: 0, failed: 0 },
        { folder: '/sweeps/<b>two', active: 0, waiting: 1, delayed: 0, failed: 0 },
        { folder: 'no cell of a sweep', active: 0, waiting: 0, delayed: 1, failed: 0 },
      ],
      problem: null,
    }
    const sorted = (state: unknown) => {
      const { owners = [], ...rest } = (state ?? {}) as { readonly owners?: ReadonlyArray<{ readonly folder: string }> }
      return { ...rest, owners: [...owners].sort((a, b) => (a.folder < b.folder ? -1 : 1)) }
    }
    await expect.poll(() => sorted(told())).toMatchObject(sorted(full))
    await redis.restart()
    await queue.add('cell', { cell: { id: 'd' }, output: '/sweeps/three' })
    await queue.close()
    await expect.poll(told).toMatchObject({ counts: { waiting: 4, delayed: 1 }, problem: null })
    await redis.stop()
    await expect
      .poll(told)
      .toMatchObject({ counts: null, problem: expect.stringMatching(/^Redis at redis:\/\/127\.0\.0\.1:\d+ does not answer/) })
    expect((view.parts()['order'] as ReadonlyArray<string>).length).toBe(1) // the rest goes on
    view.leave()
    await board.close()
  })
})
