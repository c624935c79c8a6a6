/** salora board: its URL as JSON, Ctrl-C, a port in use, and the queue in a real redis-server. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Queue } from 'bullmq'
import { beforeAll, describe, expect, it } from 'vitest'
import { queueName } from '../../evaluation/jobs/queuedJob.js'
import { startBoard } from '../../reporting/board/server.js'
import { follow } from '../board/boardClient.js'
import { writeRun } from '../property/reporting/reportRuns.js'
import { hasRedis, startRedis } from '../support/redisServer.js'
import { saloraHere } from './inProcess.js'
import { program } from './spawnSalora.js'
import { killedAfterEach } from '../support/childProcesses.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('board')
const at = (...path: readonly string[]): string => join(root, ...path)
beforeAll(async () => {
  await writeRun(at('runs/one'), {})
})

const tracked = killedAfterEach()

describe('salora board', () => {
  it('prints its URL as JSON, answers there, and ends with exit code 0 on Ctrl-C while a page is open', async () => {
    const child = tracked(
      spawn(process.execPath, [program, 'board', 'runs', '--port', '0', '--json', '--redis', 'redis://127.0.0.1:1'], { cwd: root }),
    )
    let [stdout, stderr] = ['', '']
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    for await (const piece of child.stdout.setEncoding('utf8')) {
      stdout += String(piece)
      if (stdout.endsWith('}\n')) break
    }
    const printed = JSON.parse(stdout) as { readonly folder: string; readonly port: number; readonly url: string }
    expect(printed).toEqual({
      folder: at('runs'),
      port: expect.any(Number),
      url: expect.stringMatching(new RegExp(`^http://127\\.0\\.0\\.1:${printed.port}/#token=[0-9a-f]{64}$`)),
    })
    const view = await follow({ ...printed, close: async () => undefined }, 'view=list')
    await expect.poll(() => view.state().order?.length).toBe(1)
    const problem = () => view.state().board?.queue?.problem
    await expect.poll(problem).toMatch(/^Redis at redis:\/\/127\.0\.0\.1:1 does not answer/) // which is not fatal
    const exited = once(child, 'exit')
    child.kill('SIGINT')
    expect(await exited).toEqual([0, null])
    expect(stderr).toBe('closing\n')
  })

  it('waits for the first run of an empty folder', async () => {
    await mkdir(at('empty'))
    const board = await startBoard({ folder: at('empty'), port: 0, redis: null })
    const view = await follow(board, 'view=list')
    await expect.poll(() => view.state().order).toEqual([])
    await writeRun(at('empty/first'), {})
    await expect.poll(() => view.state().order?.length).toBe(1)
    view.close()
    await board.close()
  })

  it('prints one line if its port is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const address = other.address()
    const port = String(typeof address === 'object' && address !== null ? address.port : 0)
    const { code, stdout, stderr } = await saloraHere('board', at('runs'), '--port', port)
    other.close()
    expect([code, stdout, stderr]).toEqual([1, '', `--port ${port}: expected a free port (--port 0 takes any), got one in use\n`])
  })
})

describe.skipIf(!hasRedis)('the queue (skipped where there is no redis-server)', () => {
  it('is shown by sweep whatever a job contains, again after Redis has restarted, and with a problem after Redis has stopped', async () => {
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
    const view = await follow(board, 'view=list')
    const queueState = () => view.state().board?.queue
    const full = {
      address: redis.url,
      counts: { active: 0, waiting: 3, delayed: 1, failed: 0 },
      sweeps: [
        { folder: '/sweeps/one', active: 0, waiting: 2, delayed: 0, failed: 0 },
        { folder: '/sweeps/<b>two', active: 0, waiting: 1, delayed: 0, failed: 0 },
        { folder: 'not a cell of a sweep', active: 0, waiting: 0, delayed: 1, failed: 0 },
      ],
      problem: null,
    }
    const sorted = (state: unknown) => {
      const { sweeps = [], ...rest } = (state ?? {}) as { readonly sweeps?: readonly { readonly folder: string }[] }
      return { ...rest, sweeps: [...sweeps].sort((a, b) => (a.folder < b.folder ? -1 : 1)) }
    }
    await expect.poll(() => sorted(queueState())).toMatchObject(sorted(full))
    await redis.restart()
    await queue.add('cell', { cell: { id: 'd' }, output: '/sweeps/three' })
    await queue.close()
    await expect.poll(queueState).toMatchObject({ counts: { waiting: 4, delayed: 1 }, problem: null })
    await redis.stop()
    await expect
      .poll(queueState)
      .toMatchObject({ counts: null, problem: expect.stringMatching(/^Redis at redis:\/\/127\.0\.0\.1:\d+ does not answer/) })
    expect(view.state().order?.length).toBe(1) // the runs are still shown
    view.close()
    await board.close()
  })
})
