/** A sweep over Redis whose workers are stopped, continued, killed and replaced, and whose Redis fails in four ways: its table stays the same. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { GlueSweepResult } from '../../evaluation/glue/glueSweep.js'
import { program, salora } from '../cli/spawnSalora.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { startRedis, type RedisServer } from '../support/redisServer.js'
import type { Check } from './resources.js'

/** Seconds of a lease, and those for which a worker or Redis fails: longer than a lease. */
const [lease, outage] = [4, 6]

/** Milliseconds for a whole sweep. */
const sweepLimit = 180_000

type Place = { readonly folder: string; readonly redis: RedisServer; readonly table: string; readonly children: ChildProcess[] }

const rowsOf = (count: number, of: string): string =>
  Array.from({ length: count }, (_, i) => `a\t${i % 2}\t\t${of} sentence ${i} is ${i % 2 === 0 ? 'bad' : 'good'}.\n`).join('')

const sweep = (output: string, ...more: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...['glue', '--model', 'tiny', '--data', 'glue', '--tasks', 'cola', '--methods', 'lora,salora', '--seeds', '2', '--epochs', '40'],
  ...['--batch-size', '4', '--max-length', '16', '--device', 'cpu', '--threads', '1', '--output', output, '--json', ...more],
]

/** The table without times and memory. */
const tableOf = (stdout: string): string => {
  const { table } = JSON.parse(stdout) as GlueSweepResult
  return JSON.stringify({ ...table, rows: table.rows.map((row) => ({ ...row, seconds: null, peakMemoryBytes: null })) })
}

/** Resolves with the process once its first run has started. */
const worker = ({ folder, redis, children }: Place): { readonly child: ChildProcess; readonly started: Promise<void> } => {
  const args = [program, 'worker', '--redis', redis.url, '--root', folder, '--lease', String(lease)]
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  children.push(child)
  const started = new Promise<void>((resolve) => {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes(': starting') || text.includes(': resuming')) resolve()
    })
  })
  return { child, started }
}

/** One sweep, and what happens while it runs. */
const disturbed = async (place: Place, name: string, disturb: () => Promise<void>): Promise<Check> => {
  const began = performance.now()
  const running = salora(sweep(name, '--redis', place.redis.url), { cwd: place.folder, onStart: (child) => place.children.push(child) })
  await disturb()
  const ended = await Promise.race([running, pause(sweepLimit, null, { ref: false })])
  const seconds = `${Math.round((performance.now() - began) / 1000)} s`
  const isSame = ended?.code === 0 && tableOf(ended.stdout) === place.table
  const got = ended === null ? 'no end' : isSame ? 'the same' : `code ${ended.code}: ${ended.stderr.trim().split('\n').at(-1) ?? ''}`
  for (const child of place.children.splice(0)) child.kill('SIGKILL')
  return { part: `sweep, ${name}`, check: 'table', got: `${got} after ${seconds}`, expected: 'the same as without Redis', ok: isSame }
}

const workersFail = async (place: Place): Promise<void> => {
  const [first, second] = [worker(place), worker(place)]
  await first.started
  first.child.kill('SIGSTOP')
  await pause(1000 * outage)
  first.child.kill('SIGCONT')
  await pause(1000)
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  worker(place) // replaces it
  await second.started
}

/** @throws Error unless Redis refuses a write in these words: a failure that does not happen tests nothing */
const expectRefusal = async (admin: Redis, words: string): Promise<void> => {
  const answer = await admin.set('salora-soak', '1').catch((thrown: unknown) => String(thrown))
  if (!answer.includes(words)) throw new Error(`a write to Redis: expected ${words}, got ${answer}`)
}

/** How Redis fails, and how it recovers. */
const failures: Readonly<Record<string, (admin: Redis, redis: RedisServer) => Promise<unknown>>> = {
  'Redis restarts': (_, redis) => redis.restart(),
  'Redis is read-only': async (admin) => {
    await admin.replicaof('127.0.0.1', 1) // of a server that is not there
    await expectRefusal(admin, 'READONLY')
    await pause(1000 * outage)
    await admin.replicaof('NO', 'ONE')
  },
  'Redis is out of memory': async (admin) => {
    await admin.config('SET', 'maxmemory', '1')
    await expectRefusal(admin, 'OOM')
    await pause(1000 * outage)
    await admin.config('SET', 'maxmemory', '0')
  },
  'Redis is slow': async (admin) => {
    for (let i = 0; i < outage; i++) {
      await admin.client('PAUSE', 900, 'ALL')
      await pause(1000)
    }
  },
}

const redisFails = async (place: Place, fail: (admin: Redis, redis: RedisServer) => Promise<unknown>): Promise<void> => {
  const admin = new Redis(place.redis.url, { maxRetriesPerRequest: null })
  admin.on('error', () => undefined) // it reconnects by itself
  try {
    await worker(place).started
    await fail(admin, place.redis)
  } finally {
    admin.disconnect()
  }
}

/** @param only the workers, or Redis; null: both */
export const soakSweep = async (
  folder: string,
  only: 'workers' | 'redis' | null,
  onProgress: (line: string) => void,
): Promise<ReadonlyArray<Check>> => {
  await writeTinyModel(join(folder, 'tiny'))
  await mkdir(join(folder, 'glue/CoLA'), { recursive: true })
  await writeFile(join(folder, 'glue/CoLA/train.tsv'), rowsOf(40, 'A'))
  await writeFile(join(folder, 'glue/CoLA/dev.tsv'), rowsOf(8, 'That'))
  await mkdir(join(folder, 'redis'))
  const local = await salora(sweep('local', '--quiet'), { cwd: folder })
  if (local.code !== 0) throw new Error(`a sweep without Redis: expected code 0, got ${local.code}: ${local.stderr}`)
  const place: Place = { folder, redis: await startRedis(join(folder, 'redis')), table: tableOf(local.stdout), children: [] }
  const checks: Check[] = []
  try {
    if (only !== 'redis') {
      onProgress('a sweep whose workers stop, continue, die and are replaced')
      checks.push(await disturbed(place, 'workers fail', () => workersFail(place)))
    }
    for (const [name, fail] of only === 'workers' ? [] : Object.entries(failures)) {
      onProgress(`a sweep while ${name}`)
      checks.push(await disturbed(place, name, () => redisFails(place, fail)))
    }
    return checks
  } finally {
    for (const child of place.children) child.kill('SIGKILL')
    await place.redis.stop()
  }
}
