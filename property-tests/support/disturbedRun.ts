/**
 * Runs on several machines whose workers and leader are killed, stopped, ended and added at random moments, and whose Redis is restarted, loses
 * everything or some keys: real processes, compared with the same run in one process.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { uniforms } from '../../accelerated/parameters/random.js'
import { exitCodes } from '../../cli/terminal/exit.js'
import { program, salora, type Finished } from '../cli/spawnSalora.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { toyFile } from '../cli/toyTask.js'
import { startRedis, type RedisServer } from './redisServer.js'

/** What happens to a run, in the order of a table's columns. A leader that ended is started again with `--resume`. */
export const disturbances = ['kill', 'end', 'stop', 'add', 'restart', 'lose', 'flush', 'killLeader', 'endLeader'] as const
export type Disturbance = (typeof disturbances)[number]

/** Those who leave are replaced as often. */
const drawn = [...disturbances, 'add', 'add'] as const

export type DisturbedRun = {
  readonly method: string
  readonly parts: number
  readonly workers: number
  readonly happened: Readonly<Record<Disturbance, number>>
  /** the frames that workers returned, and the parts of steps and evaluations in all */
  readonly returned: number
  readonly seconds: number
  /** '' where everything has the bits of one process, otherwise what differs */
  readonly difference: string
}

/** Milliseconds for a run, until the first worker is at work, and of a stop: longer than the leader waits for a short part. */
const [runLimit, joinLimit, stopped] = [240_000, 20_000, 2_500]

const [mostWorkers, mostLeaders] = [3, 3]

/** @param steps a multiple of 20 */
const trainArguments = (method: string, parts: number, steps: number, output: string): readonly string[] => {
  const settings = {
    ...{ model: 'tiny', task: 'toy.tsv', method, 'gradient-accumulation-steps': parts, output },
    ...{ 'max-steps': steps, 'eval-steps': steps / 2, 'save-steps': steps / 10 },
    ...{ 'batch-size': 32, 'max-length': 32, threads: 1, device: 'cpu', seed: 3, dropout: 0.1 },
  }
  return ['train', ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])]
}

const sha256 = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex')

/** Everything that a run leaves, without times, memory and its own folder's name. */
export const tracesOf = async (folder: string): Promise<ReadonlyMap<string, string>> => {
  const text = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')
  const without = (json: string, names: readonly string[]): string =>
    JSON.stringify({ ...(JSON.parse(json) as object), ...Object.fromEntries(names.map((name) => [name, null])) })
  const metrics = (await text('metrics.jsonl')).trim().split('\n')
  const adapter = (await readdir(join(folder, 'adapter'))).filter((name) => name !== 'README.md').sort() // it has times and the folder's name
  const digests = adapter.map(async (name) => [name, sha256(await readFile(join(folder, 'adapter', name)))] as const)
  return new Map([
    ...(await Promise.all(digests)),
    ['config.json', await text('config.json')],
    ['metrics.jsonl', metrics.map((line) => without(line, ['tokensPerSecond'])).join('\n')],
    ['result.json', without(await text('result.json'), ['seconds', 'peakMemoryBytes', 'finishedAt', 'output'])],
  ])
}

export type Playground = {
  readonly folder: string
  readonly redis: RedisServer
  /** One run with random workers and disturbances. */
  readonly run: (seed: number, method: string, parts: number) => Promise<DisturbedRun>
  readonly close: () => Promise<void>
}

const signal = (child: ChildProcess | undefined, name: NodeJS.Signals): void => {
  try {
    process.kill(-(child?.pid ?? NaN), name) // with the process that computes
  } catch {
    // it has ended
  }
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null

/** Counts the frames that workers return, by MONITOR at a server that may restart at any time. */
const countFrames = (url: string): { readonly count: () => number; readonly close: () => void } => {
  let [frames, line, isClosed] = [0, '', false]
  const open = (): Socket => {
    const opened = connect(Number(new URL(url).port), '127.0.0.1', () => opened.write('MONITOR\r\n'))
    opened.setEncoding('latin1').on('data', (text: string) => {
      const lines = (line + text).split('\n')
      line = lines.pop() ?? ''
      frames += lines.filter((each) => /^\S+ \[.*\] "rpush" "salora-run:/.test(each)).length
    })
    opened.on('error', () => undefined)
    opened.on('close', () => {
      if (isClosed) return
      setTimeout(() => {
        socket = open()
      }, 50)
    })
    return opened
  }
  let socket = open()
  return {
    count: () => frames,
    close: () => {
      isClosed = true
      socket.destroy()
    },
  }
}

/** @param partsOfRun parts of all steps of a run: a multiple of 160 */
export const openPlayground = async (folder: string, partsOfRun: number): Promise<Playground> => {
  await mkdir(join(folder, 'redis'), { recursive: true })
  await writeTinyModel(join(folder, 'tiny'))
  await writeFile(join(folder, 'toy.tsv'), toyFile(800))
  const redis = await startRedis(join(folder, 'redis'))
  const client = new Redis(redis.url, { maxRetriesPerRequest: null })
  client.on('error', () => undefined) // it reconnects by itself
  const frames = countFrames(redis.url)
  const workers: ChildProcess[] = []
  let leader: ChildProcess | undefined
  const addWorker = (): void => {
    const args = [program, 'worker', '--redis', redis.url, '--root', folder, '--quiet']
    workers.push(spawn(process.execPath, args, { cwd: folder, stdio: 'ignore', detached: true }))
  }
  const remove = async (child: ChildProcess | undefined, by: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    if (child === undefined) return
    workers.splice(workers.indexOf(child), 1)
    const exit = hasEnded(child) ? null : once(child, 'exit')
    signal(child, by)
    await exit
  }
  /** Deletes each second key of runs and their queues. */
  const flush = async (): Promise<void> => {
    const keys = (await client.keys('*salora-run*')).sort().filter((_, i) => i % 2 === 0)
    if (keys.length > 0) await client.del(...keys)
  }
  const onWorker: Partial<Record<Disturbance, (child: ChildProcess) => unknown>> = {
    kill: (child) => remove(child),
    end: (child) => remove(child, 'SIGTERM'),
    stop: (child) => {
      signal(child, 'SIGSTOP')
      setTimeout(() => signal(child, 'SIGCONT'), stopped).unref()
    },
  }
  const onRun: Partial<Record<Disturbance, () => unknown>> = {
    ...{ add: addWorker, restart: redis.restart, lose: redis.lose, flush },
    killLeader: () => leader?.kill('SIGKILL'),
    endLeader: () => leader?.kill('SIGTERM'),
  }
  /** @returns whether there was something to disturb */
  const apply = async (what: Disturbance, child: ChildProcess | undefined): Promise<boolean> => {
    if (onWorker[what] !== undefined ? child === undefined : what === 'add' && workers.length === mostWorkers) return false
    if (child !== undefined) await onWorker[what]?.(child)
    await onRun[what]?.()
    return true
  }
  const alone = new Map<string, Promise<ReadonlyMap<string, string>>>()
  const aloneOf = async (method: string, parts: number): Promise<ReadonlyMap<string, string>> => {
    const name = `alone-${method}-${parts}`
    const { code, stderr } = await salora(trainArguments(method, parts, partsOfRun / parts, name), { cwd: folder })
    if (code !== 0) throw new Error(`the run in one process: expected an end, got ${stderr}`)
    return tracesOf(join(folder, name))
  }
  /** The run, resumed as often as its leader ends before it. */
  const lead = async (args: readonly string[], output: string): Promise<Finished> => {
    for (;;) {
      const resumes = existsSync(join(folder, output, 'config.json')) ? ['--resume'] : []
      const onStart = (child: ChildProcess): void => {
        leader = child
      }
      const ended = await salora([...args, '--redis', redis.url, ...resumes], { cwd: folder, onStart })
      if (ended.signal === null && ended.code !== exitCodes.terminated) return ended
    }
  }
  return {
    folder,
    redis,
    run: async (seed, method, parts) => {
      const key = `${method}-${parts}`
      if (!alone.has(key)) alone.set(key, aloneOf(method, parts))
      const expected = (await alone.get(key)) as ReadonlyMap<string, string>
      const draws = uniforms(seed, 'split', 0, 256)
      let at = 0
      const draw = (below: number): number => Math.floor((draws[at++ % draws.length] ?? 0) * below)
      const wanted = 2 + draw(mostWorkers - 1)
      while (workers.length > wanted) await remove(workers[0])
      while (workers.length < wanted) addWorker()
      const happened = Object.fromEntries(disturbances.map((name) => [name, 0])) as Record<Disturbance, number>
      const output = `spread-${seed}-${key}`
      const began = performance.now()
      let isOver = false
      const before = frames.count()
      const running = lead(trainArguments(method, parts, partsOfRun / parts, output), output).finally(() => {
        isOver = true
      })
      const disturb = async (): Promise<void> => {
        while (!isOver && frames.count() === before && performance.now() - began < joinLimit) await pause(100)
        await pause(draw(3_000))
        while (!isOver) {
          const what = drawn[draw(drawn.length)] ?? 'add'
          const isSpared = what.endsWith('Leader') && happened.killLeader + happened.endLeader + 1 >= mostLeaders
          if (!isSpared && (await apply(what, workers[draw(Math.max(1, workers.length))]))) happened[what]++
          await pause(1_000 + draw(4_000))
        }
      }
      const [ended] = await Promise.all([Promise.race([running, pause(runLimit, null, { ref: false })]), disturb()])
      const row = {
        method,
        parts,
        workers: wanted,
        happened,
        returned: frames.count() - before,
        seconds: (performance.now() - began) / 1_000,
      }
      if (ended === null) return { ...row, difference: 'no end' }
      if (ended.code !== 0) return { ...row, difference: `code ${ended.code}: ${ended.stderr.trim().split('\n').at(-1)}` }
      const traces = await tracesOf(join(folder, output))
      return { ...row, difference: [...expected.keys()].filter((name) => traces.get(name) !== expected.get(name)).join(', ') }
    },
    close: async () => {
      while (workers.length > 0) await remove(workers[0])
      frames.close()
      client.disconnect()
      await redis.stop()
    },
  }
}
