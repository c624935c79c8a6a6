/**
 * salora train --redis and salora worker as processes with a real redis-server. The page is followed, and bad input has one line. Workers are
 * killed and stopped at random moments, and Redis is restarted. Skipped, by name, where there is no redis-server.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { offerRun, hashRunId } from '../../finetuning/machines/runKeys.js'
import { versions } from '../../finetuning/run/versions.js'
import { codeBlocksOf } from '../documentation/pages.js'
import { saloraWords, shellCommands, shellLines } from '../documentation/shellCommands.js'
import { killedAfterEach } from '../support/childProcesses.js'
import { openPlayground, tracesOf, type Playground } from '../support/disturbedRun.js'
import { hasRedis, startRedis, type RedisServer } from '../support/redisServer.js'
import { program, salora } from './spawnSalora.js'
import { writeTinyModel } from './tinyModel.js'
import { toyFile, toyRows } from './toyTask.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const page = 'docs/how-to/several-machines.md'
const tracked = killedAfterEach()

/** The row with the other label. */
const flipped = (row: string): string => row.replace(/(good|bad)$/, (label) => (label === 'good' ? 'bad' : 'good'))

/** A process of the program, and what it has printed. */
const started = (words: readonly string[], cwd: string): { readonly child: ChildProcess; output: string } => {
  const child = tracked(spawn(process.execPath, [program, ...words], { cwd }))
  const observed = { child, output: '' }
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    observed.output += text
  })
  return observed
}

describe.skipIf(!hasRedis)('a run on several machines (skipped without redis-server)', () => {
  const { folder: root } = temporaryFolder('machines')
  let redis: RedisServer
  let client: Redis
  beforeAll(async () => {
    await mkdir(join(root, 'redis'))
    redis = await startRedis(join(root, 'redis'), 'a-secret')
    client = new Redis(redis.url)
    await writeTinyModel(join(root, 'encoder'))
    const rows = toyRows(60).map(({ text, label }) => `${text},${label === 'good' ? 5 : 1}`)
    await writeFile(join(root, 'reviews.csv'), ['review,stars', ...rows].join('\n'))
    await writeFile(join(root, 'toy.tsv'), toyFile(40))
  })
  afterAll(async () => {
    client.disconnect()
    await redis.stop()
  })
  const train = (output: string, ...more: readonly string[]): readonly string[] => [
    ...'train --model encoder --task toy.tsv --method lora --max-length 16 --batch-size 2 --threads 1'.split(' '),
    ...['--output', output, ...more],
  ]
  const inParts = ['--gradient-accumulation-steps', '2']

  it('follows the page word by word, and has the bits of the same command without --redis', async () => {
    const lines = codeBlocksOf(page, await readFile(page, 'utf8')).flatMap(({ language, code }) =>
      language === 'sh' ? shellLines(code) : [],
    )
    const small = ['--max-steps', '100', '--eval-steps', '50', '--batch-size', '4', '--max-length', '32', '--eval-share', '0.2']
    const [lead = [], work = []] = lines.map((line) =>
      (saloraWords(shellCommands(line)[0]?.words ?? []) ?? []).map((word) =>
        word.replace('FacebookAI/roberta-base', 'encoder').replace('redis://:PASSWORD@HOST:6379', redis.url),
      ),
    )
    const worker = started(work, root)
    const leader = await salora([...lead, ...small], { cwd: root })
    expect(leader.code, leader.stderr).toBe(0)
    await expect.poll(() => worker.output).toMatch(/runs\/reviews: the run ended; [\d,]+ parts computed\n/)
    const alone = lead
      .map((word) => (word === 'runs/reviews' ? 'runs/alone' : word))
      .filter((word) => word !== '--redis' && word !== redis.url)
    expect((await salora([...alone, ...small], { cwd: root })).code).toBe(0)
    expect(await tracesOf(join(root, 'runs/reviews'))).toEqual(await tracesOf(join(root, 'runs/alone')))
  }, 120_000)

  it('refuses in one line a Redis that it cannot use', async () => {
    const wrong = redis.url.replace('a-secret', 'another')
    const without = redis.url.replace(':a-secret@', '')
    const lineOf = async (...more: readonly string[]) => {
      const { code, stderr } = await salora([...train('refused', '--max-steps', '4', '--quiet'), ...more], { cwd: root })
      return [code, stderr]
    }
    await writeFile(join(root, 'address'), `${wrong}\n`)
    const hidden = await salora([...train('refused', '--quiet'), ...inParts, '--redis', 'env'], {
      cwd: root,
      environment: { SALORA_REDIS: wrong },
    })
    for (const line of [await lineOf('--redis', '@address', ...inParts), [hidden.code, hidden.stderr]])
      expect(line).toEqual([1, expect.stringMatching(/^--redis redis:\/\/127\.0\.0\.1:\d+: expected a Redis that answers, got WRONGPASS/)])
    for (const url of [wrong, without])
      expect(await lineOf('--redis', url, ...inParts)).toEqual([
        1,
        expect.stringMatching(/^--redis redis:\/\/127\.0\.0\.1:\d+: expected a Redis that answers, got (WRONGPASS|NOAUTH).*\n$/),
      ])
  }, 60_000)

  it('has workers that refuse another version, other data and other folders, each in one line', async () => {
    const setup = {
      versions: {},
      output: join(root, 'x'),
      options: { model: 'm', task: { task: 't' }, settings: {} },
      inputs: {},
      device: 'cpu',
      revision: null,
      key: 'k',
    }
    const names = new Map<string, string>()
    const offer = async (place: string, run: object, stored = JSON.stringify(run)): Promise<void> => {
      const id = hashRunId(JSON.stringify(run))
      names.set(id, place)
      await offerRun(client, { place, id }, stored)
    }
    const { node: _, ...decisive } = versions
    const current = { ...setup, version: versions['salora'], versions: decisive }
    await offer('aa', { ...setup, version: '0.0.1' })
    await offer('bb', { ...current, versions: { ...decisive, 'onnxruntime-node': '1.0.0' } })
    await offer('cc', { ...current, output: '/elsewhere' })
    const options = { model: join(root, 'encoder'), task: { task: join(root, 'toy.tsv') }, settings: { method: 'lora', maxLength: 16 } }
    await offer('dd', { ...current, options, inputs: { 'training rows': '0'.repeat(64) } })
    await offer('ee', { nonsense: true })
    await offer('ff', { ...current, options }, JSON.stringify({ ...current, options: { ...options, model: 'another' } }))
    const worker = started(['worker', '--redis', redis.url, '--root', '.', '--quiet'], root)
    await expect.poll(() => worker.output.split('\n').length).toBeGreaterThan(6)
    const lines = worker.output.replaceAll(/[0-9a-f]{32}/g, (id) => names.get(id) ?? id)
    expect(lines.trim().split('\n').sort()).toEqual([
      `warning: run aa: run ${root}/x: expected one of salora ${versions['salora']}, which this worker has, got one of salora 0.0.1 (start both with the same version)`,
      expect.stringContaining(`run bb: run ${root}/x: expected one of the versions that this worker has, got onnxruntime-node was "1.0.0"`),
      `warning: run cc: --root ${root}: expected jobs whose folder is inside it, got a job for /elsewhere`,
      expect.stringContaining(`run dd: run ${root}/x: expected the model and the data of this machine, got training rows was`),
      expect.stringContaining('run ee: run ee: expected the setup of a run'),
      'warning: run ff: run ff: expected the setup of this run, got another one',
    ])
    await client.del('salora-runs')
  }, 60_000)

  it('has the data of its own run, although a worker still served a dead leader in the same folder', async () => {
    const args = train('again', '--max-steps', '3000', '--eval-steps', '3000', '--gradient-accumulation-steps', '4', '--redis', redis.url)
    await writeFile(join(root, 'changing.tsv'), toyFile(200))
    const changing = (words: readonly string[]) => words.map((word) => (word === 'toy.tsv' ? 'changing.tsv' : word))
    const dead = started(changing(args), root)
    const worker = started(['worker', '--redis', redis.url, '--root', '.'], root)
    await expect.poll(() => dead.output).toMatch(/[2-9] workers, /)
    dead.child.kill('SIGKILL')
    await once(dead.child, 'exit')
    const rows = toyFile(200).split('\n')
    await writeFile(join(root, 'changing.tsv'), rows.map((row, i) => (i >= 100 && i < 104 ? flipped(row) : row)).join('\n'))
    await rm(join(root, 'again'), { recursive: true })
    const short = (output: string) => changing(train(output, '--max-steps', '60', '--gradient-accumulation-steps', '4'))
    const led = await salora([...short('again'), '--redis', redis.url], { cwd: root })
    expect(led.code, led.stderr).toBe(0)
    expect((await salora(short('anew'), { cwd: root })).code).toBe(0)
    expect(await tracesOf(join(root, 'again'))).toEqual(await tracesOf(join(root, 'anew')))
    expect(worker.output.match(/again: joined\n/g)?.length).toBeGreaterThan(0)
    await expect.poll(() => worker.output).toMatch(/again: the run ended; [\d,]+ parts? computed\n/)
  }, 120_000)
})

describe.skipIf(!hasRedis)('a disturbed run on several machines (skipped without redis-server)', () => {
  const { folder } = temporaryFolder('disturbed')
  let playground: Playground
  beforeAll(async () => {
    playground = await openPlayground(folder, 480)
  })
  afterAll(() => playground.close())
  it('has the bits of one process: SaLoRA in 8 parts', async () => {
    expect((await playground.run(5, 'salora', 8)).difference).toBe('')
  }, 180_000)
})
