/** A sweep over Redis whose workers are stopped, continued, killed and replaced, and whose Redis fails in four ways: its table stays the same. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasRedis, startRedis, type RedisServer } from '../support/redisServer.js'
import { program, salora } from './spawnSalora.js'
import { colaFolder, sweep as sweepOf, timelessTable } from './sweepFolder.js'

/** Seconds of a lease, and those for which a worker or Redis fails: longer than a lease. */
const [lease, outage] = [4, 6]

/** Milliseconds for a whole sweep. */
const sweepLimit = 180_000

type Disturb = (place: Place) => Promise<void>
type Place = { readonly folder: string; readonly redis: RedisServer; readonly table: string; readonly children: ChildProcess[] }

const sweep = (output: string, ...more: readonly string[]) => sweepOf(output, '--epochs', '40', '--json', ...more)
const tableOf = (stdout: string): string => JSON.stringify(timelessTable(stdout))

/** A worker that differs: another program, or further variables of its environment. */
type Variant = { readonly path?: string; readonly environment?: Readonly<Record<string, string>> }

/** Resolves with the process once its first run has started. */
const worker = (
  { folder, redis, children }: Place,
  { path = program, environment = {} }: Variant = {},
): { readonly child: ChildProcess; readonly started: Promise<void> } => {
  const args = [path, 'worker', '--redis', redis.url, '--root', folder, '--lease', String(lease)]
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...environment } })
  children.push(child)
  const started = new Promise<void>((resolve) => {
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes(': starting') || text.includes(': resuming')) resolve()
    })
  })
  return { child, started }
}

/** The table of one sweep, and what happens while it runs. */
const disturbed = async (place: Place, name: string, disturb: Disturb): Promise<string> => {
  const running = salora(sweep(name.replaceAll(' ', '-'), '--redis', place.redis.url), {
    cwd: place.folder,
    onStart: (child) => place.children.push(child),
  })
  await disturb(place)
  const ended = await Promise.race([running, pause(sweepLimit, null, { ref: false })])
  for (const child of place.children.splice(0)) child.kill('SIGKILL')
  expect([ended?.code, ended?.code === 0 ? '' : ended?.stderr]).toEqual([0, ''])
  return tableOf(ended?.stdout ?? '')
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

/** Copies the program as one of another version. → its path */
const otherVersion = async (folder: string): Promise<string> => {
  const tree = join(dirname(program), '..', '..')
  const other = join(folder, 'other-version')
  await cp(join(tree, 'dist'), join(other, 'dist'), { recursive: true })
  await symlink(join(tree, 'node_modules'), join(other, 'node_modules'))
  const manifest = JSON.parse(await readFile(join(tree, 'package.json'), 'utf8')) as object
  await writeFile(join(other, 'package.json'), JSON.stringify({ ...manifest, version: '0.0.1' }))
  return join(other, 'dist', 'cli', 'salora.js')
}

/** A worker of another version is there first and last; between them, one of this version is killed and replaced. */
const versionsMix = async (place: Place): Promise<void> => {
  const path = await otherVersion(place.folder)
  const other = worker(place, { path })
  await pause(1000 * outage)
  const first = worker(place)
  await first.started
  first.child.kill('SIGKILL')
  await once(first.child, 'exit')
  worker(place)
  if (other.child.exitCode !== null)
    throw new Error(`a worker of another version: expected one that waits, got exit ${other.child.exitCode}`)
}

/** The library that moves a program's clock: Debian's package libfaketime. */
const clockLibrary = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map((name) => `/usr/lib/${name}/faketime/libfaketime.so.1`).find(existsSync)

/** Seconds by which the wall clock of a worker is off, one after another: an hour ahead, two days behind, right again. */
const clockJumps = [3600, -172_800, 0]

const clockJumping =
  (library: string) =>
  async (place: Place): Promise<void> => {
    const offset = join(place.folder, 'offset')
    const jump = (seconds: number): Promise<void> => writeFile(offset, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}s`)
    await jump(0)
    const { started } = worker(place, {
      environment: { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: offset, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' }, // cspell:disable-line
    })
    await started
    for (const seconds of clockJumps) {
      await jump(seconds)
      await pause(1000 * lease)
    }
  }

/** @throws Error unless Redis refuses a write in these words: a failure that does not happen tests nothing */
const expectRefusal = async (admin: Redis, words: string): Promise<void> => {
  const answer = await admin.set('salora-disturbed', '1').catch((thrown: unknown) => String(thrown))
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

const redisFails =
  (fail: (admin: Redis, redis: RedisServer) => Promise<unknown>): Disturb =>
  async (place) => {
    const admin = new Redis(place.redis.url, { maxRetriesPerRequest: null })
    admin.on('error', () => undefined) // it reconnects by itself
    try {
      await worker(place).started
      await fail(admin, place.redis)
    } finally {
      admin.disconnect()
    }
  }

const folder = colaFolder('disturbed', 40)
let place: Place
beforeAll(async () => {
  if (!hasRedis) return
  await mkdir(join(folder, 'redis'))
  const local = await salora(sweep('local', '--quiet'), { cwd: folder })
  expect([local.code, local.stderr]).toEqual([0, ''])
  place = { folder, redis: await startRedis(join(folder, 'redis')), table: tableOf(local.stdout), children: [] }
}, sweepLimit)
afterAll(async () => {
  if (!hasRedis) return
  for (const child of place.children) child.kill('SIGKILL')
  await place.redis.stop()
})

describe.skipIf(!hasRedis)('a sweep has the table of a local one (skipped without redis-server)', { timeout: 2 * sweepLimit }, () => {
  it.each<readonly [string, Disturb]>([
    ['workers stop, continue, die and are replaced', workersFail],
    ['a worker of another version is there', versionsMix],
    ...(clockLibrary === undefined ? [] : [["a worker's clock jumps", clockJumping(clockLibrary)] as const]),
    ...Object.entries(failures).map(([name, fail]) => [name, redisFails(fail)] as const),
  ])('while %s', async (name, disturb) => {
    expect(await disturbed(place, name.replaceAll("'", ''), disturb)).toBe(place.table)
  })
})
