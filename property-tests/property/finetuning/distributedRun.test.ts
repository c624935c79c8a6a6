/** The leader of a run and its workers at a real Redis, with gradients that are functions of step and part. Skipped where there is no redis-server. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { uniforms } from '../../../accelerated/parameters/random.js'
import type { PartGradient, SpreadStep } from '../../../accelerated/training/partGradient.js'
import type { PartWorker } from '../../../accelerated/training/partWorker.js'
import type { Exchange } from '../../../finetuning/distributed/exchange.js'
import { openLeader, type Leader } from '../../../finetuning/distributed/leader.js'
import { computeParts, type PartLoop } from '../../../finetuning/distributed/partLoop.js'
import { openRedis } from '../../../finetuning/distributed/redis.js'
import { claimPart, keysOf, noPart, publishStep, storeGradient } from '../../../finetuning/distributed/runKeys.js'
import { hasRedis, startRedis, type RedisServer } from '../../support/redisServer.js'

const size = 3_000
const gradientOf = (step: number, part: number): PartGradient => ({
  gradient: Float32Array.from(uniforms(step, 'split', part, size), (u) => u - 0.5),
  tokens: 10 * step + part,
  results: { loss: Float32Array.of(step + part / 8) },
})

const stepOf = (step: number, parts: number, compute = async (part: number) => gradientOf(step, part)): SpreadStep => ({
  ...{ step, parts, compute, phase: { of: step }, progress: { step, steps: 9 } },
  parameters: Float32Array.from(uniforms(0, 'split', step, size)),
  layout: { size, entries: [], blocks: [] },
})

describe.skipIf(!hasRedis)('a run at Redis (skipped without redis-server)', () => {
  let folder = ''
  let redis: RedisServer
  const clients: Redis[] = []
  const options = { signal: new AbortController().signal, onEvent: () => undefined }
  const connect = async (): Promise<Redis> => {
    const client = await openRedis(redis.url, options)
    clients.push(client)
    return client
  }
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'salora-distributed-'))
    await mkdir(join(folder, 'redis'))
    redis = await startRedis(join(folder, 'redis'))
  })
  afterAll(async () => {
    for (const client of clients) client.disconnect()
    await redis.stop()
    await rm(folder, { recursive: true })
  })

  const leaderOf = async (
    id: string,
    { leader = 'process 1 on here', exchange = 'float32' as Exchange, isGone = (): boolean => false } = {},
  ) => openLeader({ client: await connect(), id, leader, isGone, setup: '{}', dtype: 'float32', exchange, parts: 8 })

  /** A worker whose gradients are those of `compute`. */
  const workerOf = async (id: string, worker: string, compute: PartWorker['gradientOf'], signal = new AbortController().signal) => {
    const parts: PartWorker = { open: async () => undefined, gradientOf: compute, release: async () => undefined }
    const done: string[] = []
    const onPart: PartLoop['onPart'] = ({ step, part, kept }) => done.push(`${step}.${part}${kept ? '' : ' late'}`)
    const ended = computeParts({ client: await connect(), id, worker, dtype: 'float32', parts, signal, onPart })
    return { ended, done }
  }
  const honest: PartWorker['gradientOf'] = async ({ step, parameters }, part) => {
    expect(parameters).toEqual(stepOf(step, 1).parameters)
    await new Promise((resolve) => setTimeout(resolve, 5))
    return gradientOf(step, part)
  }
  const plain = ({ gradient, tokens, results }: PartGradient) => ({ gradient, tokens, loss: Number(results['loss']?.[0]) })
  const warningsOf = (leader: Leader) => leader.events().filter(({ kind }) => kind === 'warning')
  const all = (step: number, parts: number) => Array.from({ length: parts }, (_, part) => plain(gradientOf(step, part)))

  it('has every part in its place, and leaves nothing but its end behind', async () => {
    const leader = await leaderOf('a')
    const workers = [await workerOf('a', 'first', honest), await workerOf('a', 'second', honest)]
    const slow = (step: number, parts: number) =>
      stepOf(step, parts, async (part) => {
        await new Promise((resolve) => setTimeout(resolve, 15))
        return gradientOf(step, part)
      })
    for (let step = 0; step < 12; step++) {
      const parts = 1 + ((step * 5) % 8)
      expect((await leader.executor(slow(step, parts))).map(plain)).toEqual(all(step, parts))
    }
    const client = await connect()
    const bytes = (await Promise.all((await client.keys('salora-run:a:*')).map((key) => client.memory('USAGE', key)))).map(Number)
    expect(bytes.reduce((a, b) => a + b, 0)).toBeLessThan(4 * size * (1 + 8) * 1.5 + 10_000)
    await leader.close()
    expect(await Promise.all(workers.map(({ ended }) => ended))).toEqual(['the run ended', 'the run ended'])
    expect(workers.every(({ done }) => done.length > 3)).toBe(true)
    expect(warningsOf(leader)).toEqual([])
    expect(await client.keys('salora-run:a:*')).toEqual(['salora-run:a:setup'])
    expect(await client.sismember('salora-runs', 'a')).toBe(0)
  })

  it('ends without any worker, with a Redis that loses everything in mid-step, and with one that is away', async () => {
    const leader = await leaderOf('b')
    const worker = await workerOf('b', 'first', honest)
    for (const [step, fail] of [redis.lose, redis.restart, async () => undefined].entries()) {
      const failing = stepOf(step, 8, async (part) => {
        if (part % 3 === 1) await fail()
        return gradientOf(step, part)
      })
      expect((await leader.executor(failing)).map(plain)).toEqual(all(step, 8))
    }
    await leader.close()
    expect(await worker.ended).toBe('the run ended')
  }, 30_000)

  it('takes a part back from a worker that took it and died, and ignores what comes late', async () => {
    const leader = await leaderOf('c')
    const client = await connect()
    const token = 'process 1 on here#0'
    const dead = (async () => {
      for (;;) {
        const part = await claimPart(client, 'c', token, 'dead', 8, 600_000)
        if (part >= 0) return part
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    })()
    const slow = stepOf(0, 4, async (part) => {
      await new Promise((resolve) => setTimeout(resolve, 40))
      return gradientOf(0, part)
    })
    expect((await leader.executor(slow)).map(plain)).toEqual(all(0, 4))
    const late = await dead
    expect(await storeGradient(client, 'c', token, late, Buffer.from('late'))).toBe(false)
    expect((await leader.executor(stepOf(1, 4))).map(plain)).toEqual(all(1, 4))
    expect(await storeGradient(client, 'c', token, late, Buffer.from('later'))).toBe(false)
    await leader.close()
  })

  it('refuses a worker with other gradients by name, and the run has its own numbers', async () => {
    const leader = await leaderOf('d')
    const wrong = await workerOf('d', 'wrong', async ({ step }, part) => gradientOf(step + 1, part))
    const failure = wrong.ended.catch((thrown: unknown) => String(thrown))
    const slow = (step: number) =>
      stepOf(step, 8, async (part) => {
        await new Promise((resolve) => setTimeout(resolve, 20))
        return gradientOf(step, part)
      })
    for (let step = 0; step < 8; step++) expect((await leader.executor(slow(step))).map(plain)).toEqual(all(step, 8))
    expect(warningsOf(leader)).toEqual([
      {
        kind: 'warning',
        message: expect.stringMatching(/the gradient of \d+ tokens from wrong, got .*; gradients of this worker are no longer accepted$/),
      },
    ])
    expect(await failure).toMatch(/^InputError: this worker: expected the gradients that the leader computes, got step \d+, part/)
    await leader.close()
  })

  it('has one leader: another is refused in one line, and a dead one is followed at once', async () => {
    const first = await leaderOf('e')
    await expect(leaderOf('e', { leader: 'process 2 on there' })).rejects.toThrow(
      /^--redis: expected no other leader of this run, got process 1 on here \(if it is gone, its lease ends within \d+ s\)$/,
    )
    const next = await leaderOf('e', { leader: 'process 3 on here', isGone: () => true })
    await expect(first.executor(stepOf(0, 2))).rejects.toThrow(/no other leader of this run, got process 3 on here/)
    await first.close() // it does not remove what is no longer its own
    expect((await next.executor(stepOf(0, 2))).map(plain)).toEqual(all(0, 2))
    await next.close()
  })

  it('rounds every gradient to float16 alike, those of the leader too', async () => {
    const run = async (id: string, withWorker: boolean): Promise<unknown> => {
      const leader = await leaderOf(id, { exchange: 'float16' })
      const worker = withWorker ? await workerOf(id, 'first', honest) : null
      const found: unknown[] = []
      for (let step = 0; step < 4; step++) found.push((await leader.executor(stepOf(step, 6))).map(plain))
      await leader.close()
      await worker?.ended
      return found
    }
    const alone = await run('f', false)
    expect(await run('g', true)).toEqual(alone)
    expect(alone).not.toEqual(Array.from({ length: 4 }, (_, step) => all(step, 6)))
  })

  it('continues alone at a Redis that is full, and says so once', async () => {
    const leader: Leader = await leaderOf('h')
    const client = await connect()
    await client.config('SET', 'maxmemory', '1mb')
    try {
      for (let step = 0; step < 2; step++) expect((await leader.executor(stepOf(step, 4))).map(plain)).toEqual(all(step, 4))
    } finally {
      await client.config('SET', 'maxmemory', '0')
    }
    expect(warningsOf(leader)).toEqual([
      { kind: 'warning', message: expect.stringMatching(/^Redis refuses: OOM command not allowed .*; this process computes all parts/) },
    ])
    await leader.close()
  })

  it('takes one gradient for each part, and none of another step', async () => {
    const client = await connect()
    await publishStep(client, 'k', 'now#1', Buffer.from('step'), 2)
    const store = (token: string, text: string) => storeGradient(client, 'k', token, 0, Buffer.from(text))
    expect([await store('now#0', 'old'), await store('now#1', 'first'), await store('now#1', 'second')]).toEqual([false, true, false])
    expect(await client.get(keysOf('k').gradient(0))).toBe('first')
    const claims = [await claimPart(client, 'k', 'now#0', 'w', 2, 1_000)]
    for (let i = 0; i < 2; i++) claims.push(await claimPart(client, 'k', 'now#1', 'w', 2, 1_000))
    expect(claims).toEqual([noPart.otherStep, 1, noPart.allTaken])
  })

  it('keeps what Redis holds within its keys', () => {
    const { gradient, ...keys } = keysOf('0123')
    expect([...Object.values(keys), gradient(3)].every((key) => key.startsWith('salora-run:0123:'))).toBe(true)
  })
})
