/**
 * Stopping a run from the board: the run saves, resumes, and ends with the same bits. A lock file is never trusted: only the salora process that
 * has this very lock open receives the signal.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { link, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readStartTime, lockFolder } from '../../accelerated/storage/folderLock.js'
import { findRunProcess, stopRunProcess } from '../../reporting/board/runProcess.js'
import { startBoard, type Board } from '../../reporting/board/server.js'
import { stopEffect } from '../../reporting/board/views.js'
import { hashName } from '../../reporting/board/watch.js'
import { bytesIn } from '../cli/jobRun.js'
import { program, salora } from '../cli/spawnSalora.js'
import { toyFolder, toyTrain } from '../cli/toyFolder.js'
import { writeRun } from '../property/reporting/reportRuns.js'
import { follow, pageHeaders, send } from './boardClient.js'
import { killedAfterEach } from '../support/childProcesses.js'

const cwd = toyFolder('stop')
const at = (...path: readonly string[]): string => join(cwd, ...path)
let board: Board
beforeAll(async () => {
  await mkdir(at('runs'))
  board = await startBoard({ folder: at('runs'), port: 0 })
})
afterAll(() => board.close())

const tracked = killedAfterEach()
const started = (...words: readonly string[]): ChildProcess => {
  return tracked(spawn(process.execPath, words, { cwd, stdio: ['ignore', 'pipe', 'ignore'] }))
}
const isAlive = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null

const stop = (name: string) =>
  send(board, '/stop', { method: 'POST', headers: pageHeaders(board), body: JSON.stringify({ id: hashName(name) }) }).then(
    ({ status, text }) => ({
      status,
      message: (JSON.parse(text) as { readonly message: string }).message,
    }),
  )

const withoutSpeeds = (text: string): string => text.replaceAll(/"tokensPerSecond":[^,}]+/g, '')

describe.skipIf(process.platform !== 'linux')('a running run (on Linux)', () => {
  it('stops as with Ctrl-C, also when stopped twice, and after a resume ends like an uninterrupted run', async () => {
    const args = (output: string): readonly string[] => [
      ...toyTrain,
      ...['--batch-size', '4', '--threads', '1'],
      ...['--max-steps', '800', '--eval-steps', '400', '--quiet', '--output', output],
    ]
    const child = started(program, ...args('runs/stopped'))
    const size = (): Promise<number> =>
      stat(at('runs/stopped/metrics.jsonl')).then(
        (info) => info.size,
        () => 0,
      )
    await expect.poll(size, { interval: 10 }).toBeGreaterThan(0)
    const exited = once(child, 'exit')
    expect(await stop('stopped')).toEqual({
      status: 200,
      message: expect.stringMatching(/^Stopping\. Process \d+ finishes the current step and saves/),
    })
    await stop('stopped') // a second Ctrl-C would have ended it without saving
    expect(await exited).toEqual([129, null]) // the exit code of SIGHUP
    const result = JSON.parse(await readFile(at('runs/stopped/result.json'), 'utf8')) as { readonly stepsDone: number }
    expect(result).toMatchObject({ interrupted: true })
    expect(result.stepsDone).toBeLessThan(800)
    const view = await follow(board, `view=run&id=${hashName('stopped')}`)
    await expect.poll(() => view.state().run?.line.status).toBe('interrupted')
    expect(view.state().run).toMatchObject({
      stopEffect: null,
      resume: `salora train --resume --output ${at('runs/stopped')}`,
      line: { step: result.stepsDone },
    })
    view.close()
    expect(await stop('stopped')).toEqual({ status: 409, message: 'not stopped: no process is working on it' })

    const [resumed, uninterrupted] = [
      await salora(['train', '--resume', '--output', 'runs/stopped', '--quiet'], { cwd }),
      await salora(args('runs/whole'), { cwd }),
    ]
    expect([resumed.code, uninterrupted.code]).toEqual([0, 0])
    expect(await bytesIn(at('runs/stopped'), ['checkpoints'])).toEqual(await bytesIn(at('runs/whole'), ['checkpoints']))
    const adapterOf = async (run: string) => (await bytesIn(at(run), ['adapter']))['adapter/adapter_model.safetensors']
    expect(await adapterOf('runs/stopped')).toBe(await adapterOf('runs/whole'))
    const metricsOf = async (run: string) => withoutSpeeds(await readFile(at(run, 'metrics.jsonl'), 'utf8'))
    expect(await metricsOf('runs/stopped')).toBe(await metricsOf('runs/whole'))
  })
})

describe.skipIf(process.platform !== 'linux')('a forged lock (on Linux)', () => {
  /** A lock of this process: of this machine, and since its last start. */
  const ownLock = async (): Promise<Readonly<Record<string, unknown>>> => {
    await mkdir(at('own'), { recursive: true })
    const held = await lockFolder(at('own'), 'own')
    const [name = ''] = (await readdir(at('own'))).filter((one) => one.startsWith('lock-'))
    const lock = JSON.parse(await readFile(at('own', name), 'utf8')) as Record<string, unknown>
    await held.release()
    return lock
  }
  const forgeLock = async (run: string, pid: number, change: object = {}): Promise<string> => {
    await writeRun(at('runs', run), {})
    await rm(at('runs', run, 'result.json'))
    const file = at('runs', run, 'lock-0123456789ab.json')
    await writeFile(file, JSON.stringify({ ...(await ownLock()), pid, born: await readStartTime(pid), ...change }))
    return file
  }
  const notIt = /^process \d+, which the lock names, is not the one that holds it$/

  it('a lock that names another process of the user with its true start time stops nothing', async () => {
    const other = started('-e', 'setInterval(() => undefined, 1000)')
    await forgeLock('foreign', other.pid ?? 0)
    expect(await stopRunProcess(at('runs/foreign'))).toMatch(notIt)
    await expect.poll(() => stop('foreign')).toEqual({ status: 409, message: expect.stringMatching(/is not the one that holds it/) })
    await pause(100)
    expect(isAlive(other)).toBe(true)
  })

  it.each([
    ['no process', () => 0],
    ['the init process', () => 1],
    ['the board itself', () => process.pid],
    ["the board's parent", () => process.ppid],
  ])('a lock that names %s stops nothing', async (_, pid) => {
    await forgeLock('special', pid())
    expect(await stopRunProcess(at('runs/special'))).toMatch(
      /is not the one that holds it|its process is gone|as another user|in another container/,
    )
  })

  it.each([-1, 1.5, 2 ** 60, 'x'])('a lock with the process number %s is ignored', async (pid) => {
    await forgeLock('special', process.pid, { pid })
    expect(await stopRunProcess(at('runs/special'))).toMatch(/no process is working|its process is gone/)
  })

  /** A program at this path with this command. It opens a file, and may handle the signal. */
  const startImpostor = async (
    file: string,
    { flags = 'r+', handlesSignal = true, command = 'train', script = 'cli/salora.js' },
  ): Promise<ChildProcess> => {
    await mkdir(dirname(at(script)), { recursive: true })
    await writeFile(
      at(script),
      `import { openSync } from 'node:fs'
${handlesSignal ? "process.on('SIGHUP', () => process.exit(42))" : ''}
openSync(${JSON.stringify(file)}, ${JSON.stringify(flags)})
console.log('open')
setInterval(() => undefined, 1000)\n`,
    )
    await writeFile(at('package.json'), '{"type":"module"}')
    const child = started(at(script), command)
    await once(child.stdout ?? child, 'data')
    return child
  }
  const lockedBy = async (run: string, options: Parameters<typeof startImpostor>[1]) => {
    const file = await forgeLock(run, process.pid)
    const child = await startImpostor(file, options)
    // written in place, so that it stays the open file
    const handle = await open(file, 'r+')
    const lock = JSON.stringify({ ...(await ownLock()), pid: child.pid, born: await readStartTime(child.pid ?? 0) })
    await handle.truncate()
    await handle.write(lock, 0)
    await handle.close()
    return { child, file }
  }

  it.each([
    ['train', 'cli/salora.js'],
    ['quickstart', 'cli/salora.js'],
    ['cell', 'jobs/jobProcess.js'],
  ])('a lock that becomes true of a salora process (%s) stops that process', async (command, script) => {
    const { child } = await lockedBy(`held-${command}`, { command, script })
    expect(await stopRunProcess(at('runs', `held-${command}`))).toEqual({ pid: child.pid, command })
    expect((await once(child, 'exit'))[0]).toBe(42)
  })

  it.each<readonly [string, Parameters<typeof startImpostor>[1], RegExp]>([
    ['only reads the lock', { flags: 'r' }, notIt],
    ['does not handle the signal, which would kill it', { handlesSignal: false }, /does not handle SIGHUP/],
    ['is a command that does not save', { command: 'evaluate' }, /is another program/],
  ])('a lock stops nothing if its process %s', async (_, options, obstacle) => {
    const { child } = await lockedBy('almost', options)
    expect(await stopRunProcess(at('runs/almost'))).toMatch(obstacle)
    await pause(100)
    expect(isAlive(child)).toBe(true)
  })

  it('a hard link to the lock of another run stops nothing', async () => {
    const { child, file } = await lockedBy('victim', {})
    await mkdir(at('runs/bait'), { recursive: true })
    await link(file, at('runs/bait/lock-ba0123456789.json'))
    expect(await findRunProcess(at('runs/bait'))).toMatch(notIt)
    await rm(at('runs/bait'), { recursive: true })
    expect(await findRunProcess(at('runs/victim'))).toMatchObject({ pid: child.pid })
  })

  it('a lock with another start time or another machine stops nothing', async () => {
    const { child, file } = await lockedBy('reborn', {})
    const lock = JSON.parse(await readFile(file, 'utf8')) as object
    for (const [change, obstacle] of [
      [{ born: '1' }, /its process is gone/],
      [{ boot: 'another', host: 'elsewhere' }, /^it runs on elsewhere or in another container/],
    ] as const) {
      const handle = await open(file, 'r+')
      await handle.truncate()
      await handle.write(JSON.stringify({ ...lock, ...change }), 0)
      await handle.close()
      expect(await stopRunProcess(at('runs/reborn'))).toMatch(obstacle)
    }
    expect(isAlive(child)).toBe(true)
  })
})

describe('the confirmation', () => {
  it('explains the effect of stopping each command', () => {
    const run = { folder: "/runs/it's" }
    expect(stopEffect({ pid: 7, command: 'train' }, run)).toMatch(/Resume with: salora train --resume --output '\/runs\/it'\\''s'$/)
    expect(stopEffect({ pid: 7, command: 'cell' }, run)).toMatch(
      /It only works on this run of a sweep; the sweep continues with the others/,
    )
  })
})
