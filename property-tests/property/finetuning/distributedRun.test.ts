/** The leader of a run and its workers at a real Redis, with gradients that are functions of step and part. Skipped where there is no redis-server. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import * as bullmq from 'bullmq'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { uniforms } from '../../../accelerated/parameters/random.js'
import type { MicroBatchGradient, SpreadStep, SpreadEvaluation } from '../../../accelerated/training/microBatchGradient.js'
import type { PartComputer } from '../../../accelerated/training/microBatchWorker.js'
import { encodeVector } from '../../../finetuning/machines/exchange.js'
import { newSigner, toFrame } from '../../../finetuning/machines/frame.js'
import { serveMicroBatches, type ComputedPart } from '../../../finetuning/machines/serveMicroBatches.js'
import { openLeader, type LeaderOptions } from '../../../finetuning/machines/leader.js'
import type { Leader } from '../../../finetuning/machines/leaderEvents.js'
import { openRedis } from '../../../finetuning/machines/redis.js'
import { checkRoom, estimateFootprint } from '../../../finetuning/run/openRunLeader.js'
import { makeRunKeys, liveRuns, partQueue, hashRunId } from '../../../finetuning/machines/runKeys.js'
import { hasRedis, startRedis, type RedisServer } from '../../support/redisServer.js'

const size = 3_000
const gradientOf = (step: number, part: number): MicroBatchGradient => ({
  gradient: Float32Array.from(uniforms(step, 'split', part, size), (u) => u - 0.5),
  tokens: 10 * step + part,
  results: { loss: Float32Array.of(step + part / 8) },
})

/** Outputs of a batch, whose sizes are in `results`. */
const answersOf = (step: number, part: number): MicroBatchGradient => ({
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

/** A step whose leader needs some milliseconds for a part, so that workers get some. */
const slowStep = (step: number, parts: number, milliseconds = 20): SpreadStep =>
  stepOf(step, parts, async (part) => {
    await pause(milliseconds)
    return gradientOf(step, part)
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

  type Led = { readonly leader: Leader; readonly place: string; readonly id: string; readonly leaderKey: string }
  const leaderOf = async (place: string, more: Partial<LeaderOptions> = {}): Promise<Led> => {
    const signer = newSigner()
    const setup = JSON.stringify({ key: signer.key })
    const given = { client: await connect(), place, name: 'the leader', setup, signer, dtype: 'float32', exchange: 'float32' } as const
    return { leader: await openLeader({ ...given, ...more }), place, id: hashRunId(setup), leaderKey: signer.key }
  }

  /** A worker whose gradients are those of `compute`. */
  const workerOf = async ({ place, id, leaderKey }: Led, worker: string, compute: PartComputer['compute']) => {
    const computer: PartComputer = { open: async () => undefined, compute }
    const parts = { gradients: computer, answers: computer, release: async () => undefined }
    const done: string[] = []
    const onPart = ({ step, part, kept }: ComputedPart) => done.push(`${step}.${part}${kept ? '' : ' late'}`)
    const stop = new AbortController()
    const serving = { client: await connect(), redis: redis.url, place, id, leaderKey, worker, dtype: 'float32' } as const
    return { ended: serveMicroBatches({ ...serving, parts, signal: stop.signal, onPart }), done, stop: () => stop.abort() }
  }
  const honest: PartComputer['compute'] = async ({ step, parameters }, part) => {
    expect(parameters).toEqual(stepOf(step, 1).parameters)
    await pause(5)
    return gradientOf(step, part)
  }
  const plain = ({ gradient, tokens, results }: MicroBatchGradient) => ({ gradient, tokens, loss: Number(results['loss']?.[0]) })
  const warningsOf = (leader: Leader) => leader.events().filter(({ kind }) => kind === 'warning')
  const all = (step: number, parts: number) => Array.from({ length: parts }, (_, part) => plain(gradientOf(step, part)))

  it('has every part in its place, and leaves nothing but its end behind', async () => {
    const led = await leaderOf('a')
    const { leader, id } = led
    const workers = [await workerOf(led, 'first', honest), await workerOf(led, 'second', honest)]
    for (let step = 0; step < 20; step++) {
      const parts = 1 + ((step * 5) % 8)
      expect((await leader.executor(slowStep(step, parts))).map(plain)).toEqual(all(step, parts))
    }
    const client = await connect()
    await leader.close()
    expect(await Promise.all(workers.map(({ ended }) => ended))).toEqual(['the run ended', 'the run ended'])
    expect(workers.every(({ done }) => done.length > 3)).toBe(true)
    expect(warningsOf(leader)).toEqual([])
    expect(await client.keys(`*${id}*`)).toEqual([])
    expect([await client.get('salora-run:a'), await client.hexists('salora-runs', 'a')]).toEqual(['ended', 0])
  })

  it('ends without any worker, with a Redis that loses everything in mid-step, and with one that is away', async () => {
    const led = await leaderOf('b')
    const worker = await workerOf(led, 'first', honest)
    for (const [step, fail] of [redis.lose, redis.restart, async () => undefined].entries()) {
      const failing = stepOf(step, 8, async (part) => {
        if (part % 3 === 1) await fail()
        return gradientOf(step, part)
      })
      expect((await led.leader.executor(failing)).map(plain)).toEqual(all(step, 8))
    }
    await led.leader.close()
    expect(await worker.ended).toBe('the run ended')
  }, 30_000)

  it('computes what a worker took and does not return in time, and ignores what comes late', async () => {
    const led = await leaderOf('c')
    let release = (): void => undefined
    const waits = new Promise<void>((resolve) => (release = resolve))
    const hanging = await workerOf(led, 'hanging', async ({ step }, part) => {
      await waits
      return gradientOf(step, part)
    })
    const began = performance.now()
    for (let step = 0; step < 2; step++) expect((await led.leader.executor(slowStep(step, 4, 40))).map(plain)).toEqual(all(step, 4))
    expect(performance.now() - began).toBeLessThan(20_000)
    release()
    await expect.poll(() => hanging.done).toEqual(['1.1 late'])
    await led.leader.close()
    await hanging.ended
  }, 30_000)

  it('refuses a worker with other gradients by name, and the run has its own numbers', async () => {
    const led = await leaderOf('d')
    const wrong = await workerOf(led, 'wrong', async ({ step }, part) => gradientOf(step + 1, part))
    const failure = wrong.ended.catch((thrown: unknown) => String(thrown))
    for (let step = 0; step < 8; step++) expect((await led.leader.executor(slowStep(step, 8))).map(plain)).toEqual(all(step, 8))
    expect(warningsOf(led.leader)).toEqual([
      {
        kind: 'warning',
        message: expect.stringMatching(/the gradient of \d+ tokens from wrong, got .*; parts of this worker are no longer accepted$/),
      },
    ])
    expect(await failure).toMatch(/^InputError: this worker: expected the parts that the leader computes, got step \d+, part/)
    await led.leader.close()
  })

  it('ends in one line when a worker that was right at first returns something else', async () => {
    const led = await leaderOf('t', { checkedShare: 1 })
    const turning = await workerOf(led, 'turning', async ({ step }, part) => gradientOf(step === 0 ? 0 : step + 1, part))
    await expect(
      (async () => {
        for (let step = 0; step < 8; step++) await led.leader.executor(slowStep(step, 8))
      })(),
    ).rejects.toThrow(/^step 2, part \d: expected the gradient that this process computes from turning, got .* taken from step 1 on/)
    await led.leader.close()
    await turning.ended
  })

  it('has its own numbers, in time, at a Redis where somebody writes frames, jobs and steps', async () => {
    const led = await leaderOf('x')
    const { id } = led
    const client = await connect()
    const queue = new bullmq.Queue(partQueue(id), { connection: { url: redis.url } })
    const [seen, attacker] = [await workerOf(led, 'seen', honest), newSigner()]
    const forged = (step: number): Buffer => {
      const header = { run: id, token: String(step + 1), part: 0, key: attacker.key, worker: 'seen', tokens: 10 * step, seconds: 0 }
      return toFrame({ ...header, results: { loss: [step] } }, encodeVector(new Float32Array(size), 'float32'), attacker)
    }
    for (let step = 0; step < 4; step++) {
      const attacked = stepOf(step, 8, async (part) => {
        const { parts } = makeRunKeys(id)
        await client.lpush(parts, Buffer.alloc(0), Buffer.from('x'.repeat(99)), forged(step))
        await queue.add('part', { token: String(step + 1), part: 99 })
        await queue.add('part', { token: 'x'.repeat(300) }).catch(() => undefined)
        if (step === 2 && part === 7) await queue.obliterate({ force: true })
        await pause(20)
        return gradientOf(step, part)
      })
      expect((await led.leader.executor(attacked)).map(plain)).toEqual(all(step, 8))
    }
    const said = warningsOf(led.leader).map((event) => ('message' in event ? event.message : ''))
    expect(said.find((line) => line.includes('the gradient of 0 tokens from seen, got one that differs'))).toBeDefined()
    expect(said.find((line) => line.includes('bytes of another form; it is ignored'))).toBeDefined()
    await led.leader.close()
    expect(await seen.ended).toBe('the run ended')
    await queue.close()
  }, 60_000)

  it('has workers that refuse a step which somebody altered, in one line', async () => {
    const led = await leaderOf('s')
    const client = await connect()
    let refusal = ''
    const altering = stepOf(0, 4, async (part) => {
      if (part === 3) {
        const { step } = makeRunKeys(led.id)
        const frame = (await client.getBuffer(step)) ?? Buffer.alloc(1)
        frame[frame.length - 1] = (frame.at(-1) ?? 0) ^ 1
        await client.set(step, frame)
        const worker = await workerOf(led, 'first', honest)
        refusal = String(await worker.ended.catch((thrown: unknown) => thrown))
      }
      return gradientOf(0, part)
    })
    expect((await led.leader.executor(altering)).map(plain)).toEqual(all(0, 4))
    expect(refusal).toBe('InputError: the published step: expected a step of the run as its sender signed it, got an altered one')
    await led.leader.close()
  })

  it('has another id each time: workers of a dead leader leave at once, and what it left is removed', async () => {
    const first = await leaderOf('e')
    const worker = await workerOf(first, 'old', honest)
    await first.leader.executor(stepOf(0, 2))
    const next = await leaderOf('e')
    expect(next.id).not.toBe(first.id)
    expect(await worker.ended).toBe('the run ended')
    expect((await next.leader.executor(stepOf(0, 2))).map(plain)).toEqual(all(0, 2))
    const client = await connect()
    await client.del('salora-run:e') // as after 90 seconds without a sign of life
    expect(await liveRuns(bullmq, client)).toEqual([])
    expect(await client.keys(`*${next.id}*`)).toEqual([])
    await next.leader.close()
    await first.leader.close()
  })

  it('rounds every gradient to float16 alike, those of the leader too', async () => {
    const run = async (place: string, withWorker: boolean): Promise<unknown> => {
      const led = await leaderOf(place, { exchange: 'float16' })
      const worker = withWorker ? await workerOf(led, 'first', honest) : null
      const found: unknown[] = []
      for (let step = 0; step < 4; step++) found.push((await led.leader.executor(slowStep(step, 6))).map(plain))
      await led.leader.close()
      await worker?.ended
      return found
    }
    const alone = await run('f', false)
    expect(await run('g', true)).toEqual(alone)
    expect(alone).not.toEqual(Array.from({ length: 4 }, (_, step) => all(step, 6)))
  })

  it('continues alone at a Redis that is full, and says so once', async () => {
    const { leader } = await leaderOf('h')
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
    const led = await leaderOf('m')
    const { leader } = led
    const wrong = await workerOf(led, 'wrong', async ({ step }, part) => answersOf(step, part + 1))
    const failure = wrong.ended.catch((thrown: unknown) => String(thrown))
    const evaluation = (step: number, parts: number): SpreadEvaluation => ({
      ...stepOf(step, parts),
      compute: async (part) => {
        if (parts === 20 && part === 9) await redis.lose()
        while (parts === 30 && part < 29 && wrong.done.length === 0) await pause(10)
        await pause(10)
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

  it('asks a Redis for room before it starts: too small is refused, nearly full gets a warning, and no answer is an answer', async () => {
    const client = await connect()
    const run = { size: 1_000_000, parts: 4, dtype: 'float32', exchange: 'float32' } as const
    expect(await checkRoom(client, run)).toBeNull()
    const limit = (bytes: number) => client.config('SET', 'maxmemory', String(bytes))
    try {
      await limit(25_007_999)
      await expect(checkRoom(client, run)).rejects.toThrow(
        'redis: expected a maxmemory of at least 25.0 MB in Redis, for the trained numbers and 4 gradients, got 25.0 MB',
      )
      await limit(25_008_001)
      expect(await checkRoom(client, run)).toMatch(
        /^Redis has 2\d\.\d MB of its maxmemory left and this run needs up to 25\.0 MB: while Redis is full, this process computes all parts$/,
      )
      await limit(40_000_000)
      expect(await checkRoom(client, run)).toBeNull()
      expect(await checkRoom(client, { ...run, exchange: 'float16' })).toBeNull()
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
    const needed = estimateFootprint({ size: many, parts: 4, dtype: 'float32', exchange: 'float32' })
    const used = await memoryUsed(client)
    await client.config('SET', 'maxmemory', String(used + needed))
    const led = await leaderOf('n')
    const { leader } = led
    const gradient = (step: number, part: number): MicroBatchGradient => ({
      ...gradientOf(step, part),
      gradient: new Float32Array(many).fill(part),
    })
    const worker = await workerOf(led, 'first', async ({ step }, part) => gradient(step, part))
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
})
