/** The leader of a run and its workers at a real Redis, with gradients that are functions of step and part. Skipped where there is no redis-server. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { uniforms } from '../../../accelerated/parameters/random.js'
import type { MomentVectors } from '../../../accelerated/parameters/vectors.js'
import type { SpreadEvaluation } from '../../../accelerated/training/answerParts.js'
import type { PartGradient, SpreadStep } from '../../../accelerated/training/partGradient.js'
import type { PartComputer } from '../../../accelerated/training/partWorker.js'
import { bytesOf, traveled, type Exchange } from '../../../finetuning/distributed/exchange.js'
import { toFrame } from '../../../finetuning/distributed/frame.js'
import { openLeader, type Leader } from '../../../finetuning/distributed/leader.js'
import { computeParts, type PartLoop } from '../../../finetuning/distributed/partLoop.js'
import { openRedis } from '../../../finetuning/distributed/redis.js'
import { checkRoom, footprintOf } from '../../../finetuning/distributed/redisMemory.js'
import { claimPart, endLeases, keysOf, noPart, publishStep, storeGradient } from '../../../finetuning/distributed/runKeys.js'
import { hasRedis, startRedis, type RedisServer } from '../../support/redisServer.js'

const size = 3_000
const gradientOf = (step: number, part: number): PartGradient => ({
  gradient: Float32Array.from(uniforms(step, 'split', part, size), (u) => u - 0.5),
  tokens: 10 * step + part,
  results: { loss: Float32Array.of(step + part / 8) },
})

/** Outputs of a batch, whose sizes are in `results`. */
const answersOf = (step: number, part: number): PartGradient => ({
  ...gradientOf(step, part),
  gradient: Float32Array.from(uniforms(step, 'split', part, 3 + part)),
  results: { logits: Float64Array.of(3), losses: Float64Array.of(part) },
})

const memoryUsed = async (client: Redis): Promise<number> => Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1])

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
  ) => openLeader({ client: await connect(), id, leader, isGone, setup: '{}', dtype: 'float32', exchange })

  /** A worker whose gradients are those of `compute`. */
  const workerOf = async (id: string, worker: string, compute: PartComputer['compute'], signal = new AbortController().signal) => {
    const computer: PartComputer = { open: async () => undefined, compute }
    const parts = { gradients: computer, rounds: computer, answers: computer, release: async () => undefined }
    const done: string[] = []
    const onPart: PartLoop['onPart'] = ({ step, part, kept }) => done.push(`${step}.${part}${kept ? '' : ' late'}`)
    const ended = computeParts({ client: await connect(), id, worker, dtype: 'float32', parts, signal, onPart })
    return { ended, done }
  }
  const honest: PartComputer['compute'] = async ({ step, parameters }, part) => {
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

  it('leases a part for as long as the way to the leader takes, once a worker knows it, and the leader does not end that', async () => {
    const client = await connect()
    const stop = new AbortController()
    const header = { token: 'now#0', work: 'gradients', step: 0, phase: null, progress: { step: 0, steps: 1 }, parts: 4, size: 1 } as const
    const frame = toFrame({ ...header, exchange: 'float32', lease: 100 }, bytesOf(Float32Array.of(1), 'float32'))
    await publishStep(client, 'o', header.token, frame, header.parts)
    const times: number[] = []
    const far = await workerOf(
      'o',
      'far',
      async (_, part) => {
        times.push(await client.pttl(`salora-run:o:lease:${part}`))
        await new Promise((resolve) => setTimeout(resolve, 60))
        if (part === 1) await endLeases(client, 'o', header.parts)
        if (part === 1) times.push(await client.pttl('salora-run:o:lease:1'))
        if (part === 2) stop.abort()
        return gradientOf(0, part)
      },
      stop.signal,
    )
    await far.ended
    const [first = NaN, second = NaN, kept = NaN] = times
    expect(first).toBeLessThanOrEqual(100)
    expect([second > 150, kept > 50]).toEqual([true, true])
    expect(await claimPart(client, 'o', header.token, 'another', header.parts, 60_000)).toBe(3)
    await endLeases(client, 'o', header.parts)
    expect(await claimPart(client, 'o', header.token, 'another', header.parts, 60_000)).toBe(3)
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
        message: expect.stringMatching(/the gradient of \d+ tokens from wrong, got .*; parts of this worker are no longer accepted$/),
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

  it('has the answers of every batch of an evaluation, with gradients before and after, though Redis loses everything', async () => {
    const leader = await leaderOf('m')
    const wrong = await workerOf('m', 'wrong', async ({ step }, part) => answersOf(step, part + 1))
    const failure = wrong.ended.catch((thrown: unknown) => String(thrown))
    const evaluation = (step: number, parts: number): SpreadEvaluation => ({
      ...stepOf(step, parts),
      compute: async (part) => {
        if (parts === 20 && part === 9) await redis.lose()
        while (parts === 30 && part > 0 && wrong.done.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
        await new Promise((resolve) => setTimeout(resolve, 10))
        return answersOf(step, part)
      },
      fits: (_, { gradient }) => gradient.length > 2,
    })
    for (const parts of [30, 20]) {
      const found = new Map<number, unknown>()
      for await (const [part, { gradient, tokens, results }] of leader.answers(evaluation(parts, parts)))
        found.set(part, { gradient, tokens, results: Object.entries(results).map(([name, numbers]) => [name, Number(numbers[0])]) })
      expect([...found.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: parts }, (_, part) => part))
      for (const [part, outputs] of found)
        expect(outputs).toEqual({
          ...answersOf(parts, part),
          results: [
            ['logits', 3],
            ['losses', part],
          ],
        })
      expect((await leader.executor(stepOf(parts, 4))).map(plain)).toEqual(all(parts, 4))
    }
    expect(warningsOf(leader)).toMatchObject([
      { message: expect.stringMatching(/, part \d+: expected the set of answers of \d+ tokens from wrong/) },
    ])
    await leader.close()
    await failure // the run ended for it, or refused it: Redis lost its refusal
  }, 30_000)

  it('gives each part of a round the moments of its replica, though Redis loses everything and a worker dies', async () => {
    /** The part of a replica, as a function of its moments. */
    const partOf = (step: number, part: number, { firstMoment, secondMoment }: MomentVectors): PartGradient => ({
      ...gradientOf(step, part),
      moments: { firstMoment: firstMoment.map((x) => x + part), secondMoment: secondMoment.map((x) => x * 2) },
    })
    const momentsOf = (step: number, part: number): MomentVectors => ({
      firstMoment: Float32Array.from(uniforms(step, 'gates', part, size)),
      secondMoment: Float32Array.from(uniforms(step, 'gates', 100 + part, size)),
    })
    const leader = await leaderOf('q', { exchange: 'float16' })
    const client = await connect()
    /** Nobody ends a part before both workers have one: each of them takes part in the run. */
    const arrived = new Set<string>()
    let meet = (): void => undefined
    const met = new Promise<void>((resolve) => (meet = resolve))
    const computeOf =
      (worker: string): PartComputer['compute'] =>
      async ({ step }, part, moments) => {
        expect(moments).toEqual(momentsOf(step, part))
        if (arrived.add(worker).size === 2) meet()
        await met
        return partOf(step, part, moments as MomentVectors)
      }
    const workers = [await workerOf('q', 'first', computeOf('first')), await workerOf('q', 'second', computeOf('second'))]
    let begun = 0
    for (let step = 0; step < 8; step += 2) {
      const moments = [0, 1, 2, 3].map((part) => momentsOf(step, part))
      const here = async (part: number) => {
        if (step === 2 && part === 0) await redis.lose()
        const token = `process 1 on here#${step}`
        if (step === 4) await claimPart(client, 'q', token, 'dead', 4, 600_000).catch(() => 'Redis restarts')
        if (step === 6) await client.del(keysOf('q').moments)
        await met
        await new Promise((resolve) => setTimeout(resolve, 30))
        return partOf(step, part, moments[part] as MomentVectors)
      }
      const begin = async (part: number) => {
        begun++
        return gradientOf(step, part)
      }
      const parts = await leader.executor({ ...stepOf(step, 4, here), round: { moments, begin } })
      expect(parts.map(({ moments: after }) => after)).toEqual(
        [0, 1, 2, 3].map((part) => partOf(step, part, momentsOf(step, part)).moments),
      )
      const rounded = [0, 1, 2, 3].map((part) => traveled(gradientOf(step, part).gradient, 'float32', 'float16'))
      expect(parts.map(({ gradient }) => gradient)).toEqual(rounded)
    }
    await leader.close()
    await Promise.all(workers.map(({ ended }) => ended))
    expect([begun, workers.every(({ done }) => done.length > 0)]).toEqual([2, true])
    expect(warningsOf(leader)).toEqual([])
    expect(await client.keys('salora-run:q:*')).toEqual(['salora-run:q:setup'])
  }, 30_000)

  it('asks a Redis for room before it starts: too small is refused, nearly full gets a warning, and no answer is an answer', async () => {
    const client = await connect()
    const run = { size: 1_000_000, parts: 4, dtype: 'float32', exchange: 'float32', rounds: false } as const
    expect(await checkRoom(client, run)).toBeNull()
    const limit = (bytes: number) => client.config('SET', 'maxmemory', String(bytes))
    try {
      await limit(24_099_999)
      await expect(checkRoom(client, run)).rejects.toThrow(
        '--redis: expected a maxmemory of at least 24.1 MB in Redis, for the trained numbers and 4 gradients, got 24.1 MB',
      )
      await limit(24_100_001)
      expect(await checkRoom(client, run)).toMatch(
        /^Redis has 2\d\.\d MB of its maxmemory left and this run needs up to 24\.1 MB: while Redis is full, this process computes all parts$/,
      )
      await limit(40_000_000)
      expect(await checkRoom(client, run)).toBeNull()
      expect(await checkRoom(client, { ...run, exchange: 'float16' })).toBeNull()
      await expect(checkRoom(client, { ...run, rounds: true })).rejects.toThrow('a maxmemory of at least 88.1 MB')
      await client.call('ACL', 'SETUSER', 'worker', 'on', '>a-secret', '~*', '+@all', '-info')
      const restricted = await openRedis(redis.url.replace('//', '//worker:a-secret@'), options)
      clients.push(restricted)
      await limit(1_000)
      expect(await checkRoom(restricted, run)).toBeNull()
    } finally {
      await limit(0)
    }
  })

  it('fits into the room that it asks for', async () => {
    const client = await connect()
    const many = 400_000
    const needed = footprintOf({ size: many, parts: 4, dtype: 'float32', exchange: 'float32', rounds: false })
    const used = await memoryUsed(client)
    await client.config('SET', 'maxmemory', String(used + needed))
    const leader = await leaderOf('n')
    const gradient = (step: number, part: number): PartGradient => ({
      ...gradientOf(step, part),
      gradient: new Float32Array(many).fill(part),
    })
    const worker = await workerOf('n', 'first', async ({ step }, part) => gradient(step, part))
    try {
      for (let step = 0; step < 4; step++)
        await leader.executor({
          ...stepOf(step, 4, async (part) => {
            await new Promise((resolve) => setTimeout(resolve, 50))
            return gradient(step, part)
          }),
          parameters: new Float32Array(many),
        })
      expect(warningsOf(leader)).toEqual([])
      expect(worker.done.length).toBeGreaterThan(3)
    } finally {
      await client.config('SET', 'maxmemory', '0')
    }
    await leader.close()
    await worker.ended
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
