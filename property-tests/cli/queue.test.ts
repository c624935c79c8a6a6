/**
 * salora glue --redis, salora tune --redis and salora worker with a real redis-server. Two workers run, and one of them is killed in the middle of a run. Redis is killed
 * and restarted. Other cases are a poisoned job, a job delivered twice, and a password. Skipped, by name, where there is no redis-server.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stopRunProcess } from '../../reporting/board/runProcess.js'
import type { TuneResult } from '../../evaluation/tune/tune.js'
import type { GlueSweepResult } from '../../evaluation/glue/glueSweep.js'
import { queueName } from '../../evaluation/jobs/queuedJob.js'
import { hasRedis, startRedis, type RedisServer } from '../support/redisServer.js'
import { program, salora } from './spawnSalora.js'
import { colaFolder, sweep as sweepOf, timelessTable } from './sweepFolder.js'
import { toyFile } from './toyTask.js'
import { killedAfterEach } from '../support/childProcesses.js'

const root = colaFolder('queue', 40)
const sweep = (output: string, ...more: readonly string[]) => sweepOf(output, '--epochs', '4', '--json', ...more)
const resultOf = (stdout: string): GlueSweepResult => JSON.parse(stdout) as GlueSweepResult

const tracked = killedAfterEach()
const worker = (
  redis: string,
  onLine: (line: string, child: ChildProcess) => void = () => undefined,
  ...more: readonly string[]
): { readonly child: ChildProcess; output: string } => {
  const child = tracked(
    spawn(process.execPath, [program, 'worker', '--redis', redis, '--root', root, '--lease', '4', ...more], { cwd: root }),
  )
  const observed = { child, output: '' }
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    observed.output += text
    onLine(text, child)
  })
  return observed
}

/** A worker that is killed in its first run, once that has logged something. @param output the folder of the sweep or the search */
const killedWorker = (redis: string, output: string): ReturnType<typeof worker> => {
  let killed = false
  return worker(redis, (text, child) => {
    const [, id] = /(\S+): starting/.exec(text) ?? []
    if (killed || id === undefined) return
    killed = true
    const poll = setInterval(() => {
      if (!existsSync(join(root, output, 'cells', id, 'metrics.jsonl'))) return
      clearInterval(poll)
      child.kill('SIGKILL')
    }, 5)
  })
}

describe.skipIf(!hasRedis)('a queued sweep (skipped without redis-server)', () => {
  let redis: RedisServer
  let queue: Queue
  const waiting = (): Promise<number> => queue.getWaitingCount()
  beforeAll(async () => {
    await mkdir(join(root, 'redis'))
    redis = await startRedis(join(root, 'redis'), 'a secret')
    queue = new Queue(queueName, { connection: { url: redis.url, maxRetriesPerRequest: null } })
    queue.on('error', () => undefined)
  })
  afterAll(async () => {
    await queue.close()
    await redis.stop()
  })

  it('has the table of a local sweep despite a killed worker, a restarted Redis, an invalid job and a second caller', async () => {
    const local = await salora(sweep('local', '--quiet'), { cwd: root })
    expect(local.code).toBe(0)

    await queue.add('cell', { cell: { id: '../../etc' }, output: '/' }, { jobId: 'poison' })

    const both = [salora(sweep('queued', '--redis', redis.url), { cwd: root })]
    const first = killedWorker(redis.url, 'queued')
    await once(first.child, 'exit')
    await redis.restart()
    const others = [worker(redis.url), worker(redis.url)]
    // a second call for the same jobs; the folder is the first one's as long as that lasts
    const refused = await salora(sweep('queued', '--redis', redis.url), { cwd: root })
    expect([refused.code, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/queued: expected a folder that no other process is at work in/),
    ])
    const [queued] = await Promise.all(both)
    expect(queued?.code, queued?.stderr).toBe(0)
    expect(timelessTable(queued?.stdout ?? '')).toEqual(timelessTable(local.stdout))

    const output = first.output + others.map((other) => other.output).join('')
    expect(output.match(/: resuming\n/g)?.length).toBe(1)
    for (const id of ['lora.seed-0', 'lora.seed-1', 'salora.seed-0', 'salora.seed-1']) {
      expect(output.match(new RegExp(`cola\\.${id}: starting\\n`, 'g'))?.length, id).toBe(1)
      expect(output.match(new RegExp(`cola\\.${id}: \\d.*matthews`, 'g'))?.length, id).toBe(1)
    }
    const poison = await queue.getJob('poison')
    expect(await poison?.getState()).toBe('failed')
    expect(poison?.failedReason).toMatch(/^a job of the queue: expected a cell of a sweep/)
    expect(poison?.attemptsMade).toBe(1)

    // delivered once more, a done run is not made again
    const rerun = await salora(sweep('queued', '--redis', redis.url), { cwd: root })
    expect(rerun.stderr.match(/: already done/g)?.length).toBe(4)
  }, 240_000)

  it('of salora tune has the table of a local search despite a killed worker and a killed leader, and repeats no run', async () => {
    const search = (output: string, ...more: readonly string[]) => [
      ...['tune', '--model', 'tiny', '--task', 'toy.tsv', '--methods', 'lora', '--ranks', '2', '--learning-rates', '1e-5,1e-3,1e-2'],
      ...[...'--max-steps 300 --batch-size 4 --max-length 16 --device cpu --threads 1 --output'.split(' '), output, ...more],
    ]
    const scoresOf = (stdout: string): object => {
      const { trials, best, ...rest } = JSON.parse(stdout) as TuneResult
      const timeless = trials.map((trial) => ({ ...trial, seconds: null }))
      return { ...rest, best: best?.name, trials: timeless }
    }
    await writeFile(join(root, 'toy.tsv'), toyFile(60))
    const local = await salora(search('searched-here', '--json', '--quiet'), { cwd: root })
    expect(local.code, local.stderr).toBe(0)

    const leader = tracked(spawn(process.execPath, [program, ...search('searched', '--redis', redis.url)], { cwd: root, stdio: 'ignore' }))
    const first = killedWorker(redis.url, 'searched')
    await once(first.child, 'exit')
    const second = worker(redis.url)
    await expect.poll(() => second.output).toMatch(/100-steps: \d/)
    leader.kill('SIGKILL')
    const queued = await salora(search('searched', '--redis', redis.url, '--json'), { cwd: root })
    expect(queued.code, queued.stderr).toBe(0)
    expect(scoresOf(queued.stdout)).toEqual(scoresOf(local.stdout))
    expect(queued.stderr).toContain(': already done')

    const output = first.output + second.output
    expect(output.match(/: resuming\n/g)?.length).toBe(1)
    expect(output.match(/: starting\n/g)?.length).toBe(4)
    expect(output.match(/: \d.*accuracy/g)?.length).toBe(4)
  }, 240_000)

  it('can be trained by a worker that does not see its folder: results come back, adapters stay', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'salora-elsewhere-'))
    const child = spawn(
      process.execPath,
      [program, 'worker', '--redis', redis.url, '--local-root', elsewhere, '--jobs', '2', '--lease', '4'],
      { cwd: root },
    )
    tracked(child)
    const sent = await salora(sweep('sent', '--redis', redis.url), { cwd: root })
    expect(sent.code, sent.stderr).toBe(0)
    const local = await salora(sweep('local', '--quiet'), { cwd: root }) // the test before has made it, or it is made now
    expect(timelessTable(sent.stdout)).toEqual(timelessTable(local.stdout))
    for (const id of await readdir(join(root, 'sent/cells')))
      expect((await readdir(join(root, 'sent/cells', id))).sort(), id).toEqual(['config.json', 'result.json'])
    const [own = ''] = await readdir(elsewhere)
    expect(existsSync(join(elsewhere, own, 'cells/cola.salora.seed-1/adapter/adapter_model.safetensors'))).toBe(true)
    const rerun = await salora(sweep('sent'), { cwd: root })
    expect(rerun.stderr.match(/: already done/g)?.length).toBe(4)
    await rm(elsewhere, { recursive: true })
  }, 120_000)

  it('is resumed by another worker at once, and without a failed attempt, when the first is stopped', async () => {
    const running = salora(sweep('handed', '--redis', redis.url), { cwd: root })
    let interrupted = false
    const first = worker(redis.url, (text, child) => {
      if (!interrupted && text.includes(': starting')) {
        interrupted = true
        setTimeout(() => child.kill('SIGINT'), 300)
      }
    })
    const [code] = (await once(first.child, 'exit')) as [number]
    expect(code).toBe(130)
    worker(redis.url)
    const { code: ended, stdout } = await running
    expect(ended).toBe(0)
    expect(resultOf(stdout)).toMatchObject({ done: 4, failed: [] })
  }, 120_000)

  it('waits for a lock of another machine, and resumes once it is gone', async () => {
    const folder = join(root, 'claimed/cells/cola.lora.seed-0')
    await mkdir(folder, { recursive: true })
    // of another machine: this one cannot know whether it lives, so it waits for two minutes of silence
    const claim = { host: 'elsewhere', boot: 'another', numbers: 'pid:[1]', pid: 4242, born: '1', thread: 0 }
    await writeFile(join(folder, 'lock-0123456789ab.json'), JSON.stringify(claim))
    const running = salora([...sweep('claimed', '--redis', redis.url), '--methods', 'lora', '--seeds', '1'], { cwd: root })
    const { output } = await new Promise<{ output: string }>((resolve) => {
      const observed = worker(redis.url, () => (/waiting.*\n/.test(observed.output) ? resolve(observed) : undefined))
    })
    expect(output).toMatch(/cola\.lora\.seed-0: waiting: its folder is in use by process 4242 on elsewhere .*120 seconds of silence\n/)
    await pause(16_000) // longer than three attempts would take
    await rm(join(folder, 'lock-0123456789ab.json'))
    const { code, stdout, stderr } = await running
    expect(code, stderr).toBe(0)
    expect(resultOf(stdout)).toMatchObject({ done: 1, failed: [] })
  }, 120_000)

  it('queues runs again that Redis lost', async () => {
    const running = salora([...sweep('lost', '--redis', redis.url), '--methods', 'lora', '--seeds', '2'], { cwd: root })
    await expect.poll(waiting).toBe(2)
    await redis.lose()
    await expect.poll(waiting).toBe(2)
    worker(redis.url)
    const { code, stdout, stderr } = await running
    expect(code, stderr).toBe(0)
    expect(stderr.match(/: waiting: its job was missing in the queue/g)?.length).toBe(2)
    expect(resultOf(stdout)).toMatchObject({ done: 2, failed: [] })
  }, 120_000)

  it('reports a run that always fails, with its reason, and finishes the others', async () => {
    const running = salora([...sweep('failing', '--redis', redis.url), '--tasks', 'cola,mrpc', '--methods', 'lora', '--seeds', '1'], {
      cwd: root,
    })
    await expect.poll(waiting).toBe(2)
    const { child } = worker(redis.url, undefined, '--until-empty')
    const { code, stdout, stderr } = await running
    expect(code).toBe(1)
    expect(resultOf(stdout).failed).toMatchObject([{ cell: 'mrpc.lora.seed-0', attempts: 3 }])
    if (child.exitCode === null) await once(child, 'exit')
    expect(child.exitCode).toBe(0) // by itself, but not while the run waited for its next attempt
    expect(stderr).toMatch(/mrpc\.lora\.seed-0 failed \(3 attempts\): .*expected train\.tsv of mrpc/)
    expect(await readdir(join(root, 'failing/cells'))).toEqual(['cola.lora.seed-0'])
  }, 120_000)

  it.skipIf(process.platform !== 'linux')(
    'gives a run up that somebody stops where it runs, and ends the others',
    async () => {
      const running = salora([...sweep('halted', '--redis', redis.url), '--methods', 'lora', '--max-steps', '1000', '--epochs', '1000'], {
        cwd: root,
      })
      worker(redis.url)
      const folder = join(root, 'halted/cells/cola.lora.seed-0')
      await expect.poll(() => stopRunProcess(folder)).toMatchObject({ command: 'cell' })
      const { code, stdout } = await running
      expect([code, resultOf(stdout).done]).toEqual([1, 1])
      expect(resultOf(stdout).failed).toEqual([{ cell: 'cola.lora.seed-0', attempts: 1, message: 'the run was stopped on its machine' }])
    },
    120_000,
  )

  it('reports each outage of Redis, ends by Ctrl-C during one, and resumes its run later', async () => {
    const longer = ['--max-steps', '100000', '--epochs', '10000'] // than both outages last: once its one run is done a sweep has nothing to wait for
    const args = [...sweep('parted', '--redis', redis.url), '--methods', 'lora', '--seeds', '1', ...longer]
    const started = spawn(process.execPath, [program, ...args], { cwd: root })
    tracked(started)
    let stderr = ''
    started.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const working = worker(redis.url)
    await expect.poll(() => existsSync(join(root, 'parted/cells/cola.lora.seed-0/metrics.jsonl'))).toBe(true)
    const unreachable = /^Redis is unreachable: retrying; running runs continue$/
    const reachable = /^Redis is reachable again$/
    const linesLike = (line: RegExp): readonly number[] =>
      [stderr, working.output].map((text) => text.split('\n').filter((each) => line.test(each)).length)
    await redis.stop()
    await expect.poll(() => linesLike(unreachable)).toEqual([1, 1])
    await redis.restart()
    await expect.poll(() => linesLike(reachable)).toEqual([1, 1])
    await redis.stop() // the worker has taken no other run since
    await expect.poll(() => linesLike(unreachable)).toEqual([2, 2])
    await pause(3_000) // by now the sweep has asked for its jobs, and has no answer
    const codes = [started, working.child].map(async (child) => {
      child.kill('SIGINT')
      return ((await once(child, 'exit')) as [number])[0]
    })
    expect(await Promise.all(codes)).toEqual([130, 130])
    expect(linesLike(reachable)).toEqual([1, 1])

    await redis.restart()
    const next = worker(redis.url)
    await expect.poll(() => next.output).toMatch(/cola\.lora\.seed-0: resuming\n/)
    await queue.obliterate({ force: true })
  }, 120_000)

  it('is refused by a worker of another folder, which says so, too', async () => {
    const running = salora([...sweep('outside', '--redis', redis.url), '--methods', 'lora', '--seeds', '1'], { cwd: root })
    await expect.poll(waiting).toBe(1)
    const other = worker(redis.url, undefined, '--root', join(root, 'tiny'), '--until-empty')
    const { stdout } = await running
    const message = `--root ${join(root, 'tiny')}: expected jobs whose folder is inside it, got a job for ${join(root, 'outside')}`
    expect(resultOf(stdout).failed).toEqual([{ cell: 'cola.lora.seed-0', attempts: 1, message }])
    await expect.poll(() => other.output).toContain(`${message}\n`)
  }, 60_000)

  it('waits for a Redis that refuses commands, which a worker says once', async () => {
    const client = new Redis(redis.url)
    await client.config('SET', 'maxmemory', '1')
    const waits = worker(redis.url)
    await expect.poll(() => waits.output).toMatch(/\nRedis refuses commands: retrying; running runs continue \(OOM [^\n]+\)\n/)
    await pause(5_000)
    await client.config('SET', 'maxmemory', '0')
    client.disconnect()
    expect(waits.output.match(/OOM/g)?.length).toBe(1)
  }, 60_000)

  it('prints one line for a wrong password', async () => {
    const wrong = redis.url.replace('a secret', 'another')
    const { code, stderr } = await salora(sweep('wrong', '--redis', wrong, '--quiet'), { cwd: root })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^--redis redis:\/\/127\.0\.0\.1:\d+: expected a Redis that answers, got [^\n]+\n$/)
    expect(stderr).not.toContain('another')
  }, 30_000)

  it('prints one line for a database that Redis does not have, which a client would replace by database 0', async () => {
    const missing = `${redis.url}/99`
    const refused =
      /^--redis redis:\/\/127\.0\.0\.1:\d+: expected a Redis that accepts the commands of a queue, got ERR DB index is out of range\n$/
    const outcomes = [
      await salora(sweep('missing', '--redis', missing, '--quiet'), { cwd: root }),
      await salora(['worker', '--redis', missing, '--quiet'], { cwd: root }),
    ]
    expect(outcomes.map(({ code }) => code)).toEqual([1, 1])
    for (const { stderr } of outcomes) expect(stderr).toMatch(refused)
  }, 60_000)
})

it('salora worker gives up a Redis that accepts connections and never answers', async () => {
  const silent = createServer().listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const address = `redis://127.0.0.1:${(silent.address() as AddressInfo).port}`
  const { code, stderr } = await salora(['worker', '--redis', `${address}\n`, '--quiet'], { cwd: root })
  silent.close()
  expect([code, stderr]).toEqual([1, `--redis ${address}: expected a Redis that answers, got no answer in 5 s\n`])
}, 30_000)
