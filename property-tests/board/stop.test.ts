/**
 * A run that is stopped from a board is saved, goes on, and ends in the bits that it would have had. What a lock file says is proved first: whatever
 * process one names, none but the one that writes that very lock, of salora, is sent a signal.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { link, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { birthOf, lockFolder } from '../../accelerated/storage/folderLock.js'
import { holderOf, stopHolder } from '../../reporting/board/runProcess.js'
import { startBoard, type Board } from '../../reporting/board/server.js'
import { effectOf, type RunView } from '../../reporting/board/views.js'
import { idOf } from '../../reporting/board/watch.js'
import { bytesIn } from '../cli/jobRun.js'
import { program, salora } from '../cli/spawnSalora.js'
import { toyFolder } from '../cli/toyFolder.js'
import { writeRun } from '../property/reporting/reportRuns.js'
import { ask, askedByPage, followed } from './asking.js'

const cwd = toyFolder('stop')
const at = (...path: ReadonlyArray<string>): string => join(cwd, ...path)
let board: Board
beforeAll(async () => {
  await mkdir(at('runs'))
  board = await startBoard({ folder: at('runs'), port: 0, redis: null })
})
afterAll(() => board.close())

const children: ChildProcess[] = []
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
})
const started = (...words: ReadonlyArray<string>): ChildProcess => {
  const child = spawn(process.execPath, words, { cwd, stdio: ['ignore', 'pipe', 'ignore'] })
  children.push(child)
  return child
}
const isAlive = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null

const stop = (name: string) =>
  ask(board, '/stop', { method: 'POST', headers: askedByPage(board), body: JSON.stringify({ id: idOf(name) }) }).then(
    ({ status, text }) => ({
      status,
      line: (JSON.parse(text) as { readonly line: string }).line,
    }),
  )

const timeless = (text: string): string => text.replaceAll(/"tokensPerSecond":[^,}]+/g, '')

describe.skipIf(process.platform !== 'linux')('a run that trains (on Linux)', () => {
  it('is stopped from the board as by Ctrl-C, twice without harm, and resumed ends as the one that was left alone', async () => {
    const args = (output: string): ReadonlyArray<string> => [
      ...['train', '--model', 'tiny', '--task', 'toy.tsv', '--max-length', '16', '--batch-size', '4', '--device', 'cpu', '--threads', '1'],
      ...['--max-steps', '800', '--eval-steps', '400', '--quiet', '--output', output],
    ]
    const child = started(program, ...args('runs/stopped'))
    const size = (): Promise<number> =>
      stat(at('runs/stopped/metrics.jsonl')).then(
        (there) => there.size,
        () => 0,
      )
    await expect.poll(size, { interval: 10 }).toBeGreaterThan(0)
    const exited = once(child, 'exit')
    expect(await stop('stopped')).toEqual({
      status: 200,
      line: expect.stringMatching(/^It was told to stop\. Process \d+ ends after the step/),
    })
    await stop('stopped') // whatever it answers: a second Ctrl-C would have left at once
    expect(await exited).toEqual([129, null]) // as where its terminal is lost
    const result = JSON.parse(await readFile(at('runs/stopped/result.json'), 'utf8')) as { readonly stepsDone: number }
    expect(result).toMatchObject({ interrupted: true })
    expect(result.stepsDone).toBeLessThan(800)
    const view = await followed(board, `view=run&id=${idOf('stopped')}`)
    const seen = (): RunView | null => (view.parts()['run'] as RunView | null | undefined) ?? null
    await expect.poll(() => seen()?.line.state).toBe('interrupted')
    expect(seen()).toMatchObject({
      stops: null,
      goOn: `salora train --resume --output ${at('runs/stopped')}`,
      line: { step: result.stepsDone },
    })
    view.leave()
    expect(await stop('stopped')).toEqual({ status: 409, line: 'it was not stopped: no process is at work in it' })

    const [resumed, whole] = [
      await salora(['train', '--resume', '--output', 'runs/stopped', '--quiet'], { cwd }),
      await salora(args('runs/whole'), { cwd }),
    ]
    expect([resumed.code, whole.code]).toEqual([0, 0])
    expect(await bytesIn(at('runs/stopped'), ['checkpoints'])).toEqual(await bytesIn(at('runs/whole'), ['checkpoints']))
    const adapterOf = async (run: string) => (await bytesIn(at(run), ['adapter']))['adapter/adapter_model.safetensors']
    expect(await adapterOf('runs/stopped')).toBe(await adapterOf('runs/whole'))
    const metricsOf = async (run: string) => timeless(await readFile(at(run, 'metrics.jsonl'), 'utf8'))
    expect(await metricsOf('runs/stopped')).toBe(await metricsOf('runs/whole'))
  })
})

describe.skipIf(process.platform !== 'linux')('a lock that lies (on Linux)', () => {
  /** The claim that this very process would write, which is of this machine and this start of it. */
  const ownClaim = async (): Promise<Readonly<Record<string, unknown>>> => {
    await mkdir(at('own'), { recursive: true })
    const lock = await lockFolder(at('own'), 'own')
    const [name = ''] = (await readdir(at('own'))).filter((one) => one.startsWith('lock-'))
    const claim = JSON.parse(await readFile(at('own', name), 'utf8')) as Record<string, unknown>
    await lock.release()
    return claim
  }
  const lying = async (run: string, pid: number, change: object = {}): Promise<string> => {
    await writeRun(at('runs', run), {})
    await rm(at('runs', run, 'result.json'))
    const file = at('runs', run, 'lock-0123456789ab.json')
    await writeFile(file, JSON.stringify({ ...(await ownClaim()), pid, born: await birthOf(pid), ...change }))
    return file
  }
  const notIt = /^process \d+, which its lock names, is not the one at work in it$/

  it('and names a process of the same user, born when it says, stops nothing', async () => {
    const other = started('-e', 'setInterval(() => undefined, 1000)')
    await lying('foreign', other.pid ?? 0)
    expect(await stopHolder(at('runs/foreign'))).toMatch(notIt)
    await expect.poll(() => stop('foreign')).toEqual({ status: 409, line: expect.stringMatching(/is not the one at work/) })
    await pause(100)
    expect(isAlive(other)).toBe(true)
  })

  it.each([
    ['no process', () => 0],
    ['the first one', () => 1],
    ['the board itself', () => process.pid],
    ['what started the board', () => process.ppid],
  ])('and names %s stops nothing', async (_, pid) => {
    await lying('special', pid())
    expect(await stopHolder(at('runs/special'))).toMatch(
      /is not the one at work in it|its process is gone|as another user|in another container/,
    )
  })

  it.each([-1, 1.5, 2 ** 60, 'x'])('and names %s is none', async (pid) => {
    await lying('special', process.pid, { pid })
    expect(await stopHolder(at('runs/special'))).toMatch(/no process is at work|its process is gone/)
  })

  /** A program with that path and these words that opens a file, and does or does not heed the signal. */
  const pretender = async (
    file: string,
    { flags = 'r+', heeds = true, command = 'train', script = 'cli/salora.js' },
  ): Promise<ChildProcess> => {
    await mkdir(dirname(at(script)), { recursive: true })
    await writeFile(
      at(script),
      `import { openSync } from 'node:fs'
${heeds ? "process.on('SIGHUP', () => process.exit(42))" : ''}
openSync(${JSON.stringify(file)}, ${JSON.stringify(flags)})
console.log('open')
setInterval(() => undefined, 1000)\n`,
    )
    await writeFile(at('package.json'), '{"type":"module"}')
    const child = started(at(script), command)
    await once(child.stdout ?? child, 'data')
    return child
  }
  const pretended = async (run: string, options: Parameters<typeof pretender>[1]) => {
    const file = await lying(run, process.pid)
    const child = await pretender(file, options)
    // in its place, so that the file stays the one that is open
    const handle = await open(file, 'r+')
    const claim = JSON.stringify({ ...(await ownClaim()), pid: child.pid, born: await birthOf(child.pid ?? 0) })
    await handle.truncate()
    await handle.write(claim, 0)
    await handle.close()
    return { child, file }
  }

  it.each([
    ['train', 'cli/salora.js'],
    ['quickstart', 'cli/salora.js'],
    ['cell', 'glue/cellProcess.js'],
  ])('and is true of a process of salora, %s, is proved: that one is told', async (command, script) => {
    const { child } = await pretended(`true-${command}`, { command, script })
    expect(await stopHolder(at('runs', `true-${command}`))).toEqual({ pid: child.pid, command })
    expect((await once(child, 'exit'))[0]).toBe(42)
  })

  it.each<readonly [string, Parameters<typeof pretender>[1], RegExp]>([
    ['only reads the lock', { flags: 'r' }, notIt],
    ['does not heed the signal, which would kill it', { heeds: false }, /does not heed SIGHUP/],
    ['is a command that does not save', { command: 'evaluate' }, /is a program of its own/],
  ])('and names one that %s stops nothing', async (_, options, why) => {
    const { child } = await pretended('almost', options)
    expect(await stopHolder(at('runs/almost'))).toMatch(why)
    await pause(100)
    expect(isAlive(child)).toBe(true)
  })

  it('and is that of another run, by a second name, stops nothing', async () => {
    const { child, file } = await pretended('victim', {})
    await mkdir(at('runs/bait'), { recursive: true })
    await link(file, at('runs/bait/lock-ba0123456789.json'))
    expect(await holderOf(at('runs/bait'))).toMatch(notIt)
    await rm(at('runs/bait'), { recursive: true })
    expect(await holderOf(at('runs/victim'))).toMatchObject({ pid: child.pid })
  })

  it('and says another birth, or another machine, stops nothing', async () => {
    const { child, file } = await pretended('reborn', {})
    const claim = JSON.parse(await readFile(file, 'utf8')) as object
    for (const [change, why] of [
      [{ born: '1' }, /its process is gone/],
      [{ boot: 'another', host: 'elsewhere' }, /^it runs on elsewhere, or in another container/],
    ] as const) {
      const handle = await open(file, 'r+')
      await handle.truncate()
      await handle.write(JSON.stringify({ ...claim, ...change }), 0)
      await handle.close()
      expect(await stopHolder(at('runs/reborn'))).toMatch(why)
    }
    expect(isAlive(child)).toBe(true)
  })
})

describe('what stopping does', () => {
  it('is said of each command', () => {
    const run = { folder: "/runs/it's" }
    expect(effectOf({ pid: 7, command: 'train' }, run)).toMatch(/Go on with: salora train --resume --output '\/runs\/it'\\''s'$/)
    expect(effectOf({ pid: 7, command: 'cell' }, run)).toMatch(/this run of a sweep alone, .* The sweep goes on with its other runs/)
  })
})
