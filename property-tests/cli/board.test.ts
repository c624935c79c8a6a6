/** salora board: its URL as JSON, Ctrl-C, and a port in use. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { startBoard } from '../../reporting/board/server.js'
import { follow } from '../board/boardClient.js'
import { writeRun } from '../property/reporting/reportRuns.js'
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
    const child = tracked(spawn(process.execPath, [program, 'board', 'runs', '--port', '0', '--json'], { cwd: root }))
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
    const exited = once(child, 'exit')
    child.kill('SIGINT')
    expect(await exited).toEqual([0, null])
    expect(stderr).toBe('closing\n')
  })

  it('waits for the first run of an empty folder', async () => {
    await mkdir(at('empty'))
    const board = await startBoard({ folder: at('empty'), port: 0 })
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
