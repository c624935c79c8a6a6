/** Runs on several machines whose workers are killed, stopped and added at random moments, and whose Redis is restarted: real processes. */
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { uniforms } from '../../accelerated/parameters/random.js'
import { program, salora } from '../cli/spawnSalora.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { toyFile } from '../cli/toyTask.js'
import { startRedis, type RedisServer } from './redisServer.js'

/** What happens to a run, in the order of a table's columns. */
export const disturbances = ['kill', 'stop', 'add', 'restart', 'lose'] as const
export type Disturbance = (typeof disturbances)[number]

export type DisturbedRun = {
  readonly method: string
  readonly parts: number
  readonly workers: number
  readonly happened: Readonly<Record<Disturbance, number>>
  /** the most workers that the leader reported at once, itself included */
  readonly seen: number
  readonly seconds: number
  /** '' where everything has the bits of one process, otherwise what differs */
  readonly difference: string
}

/** Milliseconds for a run, and of a stop: a lease of short parts is one second. */
const [runLimit, stopped] = [120_000, 2_500]

const mostWorkers = 3

/** @param method with its further options, as `lora --sync-every 5` @param steps a multiple of 20 */
const trainArguments = (method: string, parts: number, steps: number, output: string): ReadonlyArray<string> => [
  ...['train', '--model', 'tiny', '--task', 'toy.tsv', '--method', ...method.split(' '), '--gradient-accumulation-steps', String(parts)],
  ...['--max-steps', String(steps), '--eval-steps', String(steps / 2), '--save-steps', String(steps / 4)],
  ...[
    '--batch-size',
    '16',
    '--max-length',
    '32',
    '--threads',
    '1',
    '--device',
    'cpu',
    '--seed',
    '3',
    '--dropout',
    '0.1',
    '--output',
    output,
  ],
]

const nameOf = (method: string): string => method.replaceAll(/[ -]+/g, '-')

const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex')

/** Everything that a run leaves, without times, memory and its own folder's name. */
export const tracesOf = async (folder: string): Promise<ReadonlyMap<string, string>> => {
  const text = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')
  const without = (json: string, names: ReadonlyArray<string>): string =>
    JSON.stringify({ ...(JSON.parse(json) as object), ...Object.fromEntries(names.map((name) => [name, null])) })
  const metrics = (await text('metrics.jsonl')).trim().split('\n')
  return new Map([
    ...(await adapterTraces(join(folder, 'adapter'))),
    ['config.json', await text('config.json')],
    ['metrics.jsonl', metrics.map((line) => without(line, ['tokensPerSecond'])).join('\n')],
    ['result.json', without(await text('result.json'), ['seconds', 'peakMemoryBytes', 'finishedAt', 'output'])],
  ])
}

/** Digests of an adapter's files; its README.md has times and the folder's name. */
const adapterTraces = async (folder: string): Promise<ReadonlyArray<readonly [string, string]>> => {
  const names = (await readdir(folder)).filter((name) => name !== 'README.md').sort()
  return Promise.all(names.map(async (name) => [name, sha256(await readFile(join(folder, name)))] as const))
}

export type Playground = {
  readonly folder: string
  readonly redis: RedisServer
  /** One run with random workers and disturbances. */
  readonly run: (seed: number, method: string, parts: number) => Promise<DisturbedRun>
  readonly close: () => Promise<void>
}

/** @param steps of each run */
export const openPlayground = async (folder: string, steps: number): Promise<Playground> => {
  await mkdir(join(folder, 'redis'), { recursive: true })
  await writeTinyModel(join(folder, 'tiny'))
  await writeFile(join(folder, 'toy.tsv'), toyFile(200))
  const redis = await startRedis(join(folder, 'redis'))
  const workers: ChildProcess[] = []
  const signal = (child: ChildProcess, name: NodeJS.Signals): void => {
    try {
      process.kill(-(child.pid ?? 0), name) // with the process that computes
    } catch {
      // it has ended
    }
  }
  const addWorker = (): void => {
    const args = [program, 'worker', '--redis', redis.url, '--root', folder, '--quiet']
    workers.push(spawn(process.execPath, args, { cwd: folder, stdio: 'ignore', detached: true }))
  }
  const remove = async (child: ChildProcess | undefined): Promise<void> => {
    if (child === undefined) return
    workers.splice(workers.indexOf(child), 1)
    const exit = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null
    signal(child, 'SIGKILL')
    await exit
  }
  /** @returns whether there was something to disturb */
  const apply = async (what: Disturbance, child: ChildProcess | undefined): Promise<boolean> => {
    if (what === 'restart') await redis.restart()
    if (what === 'lose') await redis.lose()
    if (what === 'restart' || what === 'lose') return true
    if (what === 'add' ? workers.length === mostWorkers : child === undefined) return false
    if (what === 'add') addWorker()
    if (what === 'kill') await remove(child)
    if (what === 'stop' && child !== undefined) {
      signal(child, 'SIGSTOP')
      setTimeout(() => signal(child, 'SIGCONT'), stopped).unref()
    }
    return true
  }
  const alone = new Map<string, ReadonlyMap<string, string>>()
  const aloneOf = async (method: string, parts: number): Promise<ReadonlyMap<string, string>> => {
    const name = `alone-${nameOf(method)}-${parts}`
    const known = alone.get(name)
    if (known !== undefined) return known
    const { code, stderr } = await salora(trainArguments(method, parts, steps, name), { cwd: folder })
    if (code !== 0) throw new Error(`the run in one process: expected an end, got ${stderr}`)
    const traces = await tracesOf(join(folder, name))
    alone.set(name, traces)
    return traces
  }
  return {
    folder,
    redis,
    run: async (seed, method, parts) => {
      const expected = await aloneOf(method, parts)
      const draws = uniforms(seed, 'split', 0, 64)
      let at = 0
      const draw = (below: number): number => Math.floor((draws[at++ % draws.length] ?? 0) * below)
      const wanted = draw(4)
      while (workers.length > wanted) await remove(workers[0])
      while (workers.length < wanted) addWorker()
      const happened = { kill: 0, stop: 0, add: 0, restart: 0, lose: 0 }
      const output = `spread-${seed}-${nameOf(method)}-${parts}`
      const began = performance.now()
      let seen = 0
      let hasEnded = false
      const running = salora([...trainArguments(method, parts, steps, output), '--redis', redis.url], {
        cwd: folder,
        onError: (text) => {
          for (const [, count] of text.matchAll(/ (\d+) workers?, /g)) seen = Math.max(seen, Number(count))
        },
      }).finally(() => {
        hasEnded = true
      })
      const disturb = async (): Promise<void> => {
        await pause(2_000 + draw(3_000))
        while (!hasEnded) {
          const what = disturbances[draw(disturbances.length)] ?? 'add'
          const child = workers[draw(Math.max(1, workers.length))]
          if (await apply(what, child)) happened[what]++
          await pause(500 + draw(3_500))
        }
      }
      const [ended] = await Promise.all([Promise.race([running, pause(runLimit, null, { ref: false })]), disturb()])
      const seconds = (performance.now() - began) / 1_000
      const row = { method, parts, workers: wanted, happened, seen, seconds }
      if (ended === null) return { ...row, difference: 'no end' }
      if (ended.code !== 0) return { ...row, difference: ended.stderr.trim().split('\n').at(-1) ?? 'no message' }
      const traces = await tracesOf(join(folder, output))
      return { ...row, difference: [...expected.keys()].filter((name) => traces.get(name) !== expected.get(name)).join(', ') }
    },
    close: async () => {
      while (workers.length > 0) await remove(workers[0])
      await redis.stop()
    },
  }
}
