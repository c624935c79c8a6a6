/**
 * A job that an earlier call left in the queue: the call with other settings replaces it, and is refused while a worker trains it. A Redis
 * that refuses a job ends a call at its start only.
 */
import { join } from 'node:path'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import type { RunCell } from '../../../evaluation/jobs/jobFolder.js'
import type { ExecutorEvent } from '../../../evaluation/jobs/executor.js'
import { queueLine } from '../../../cli/terminal/progress.js'
import { parseCellJob, queueName } from '../../../evaluation/jobs/queuedJob.js'
import { runQueuedCells } from '../../../evaluation/jobs/queueExecutor.js'
import { hasRedis, startRedis, type RedisServer } from '../../support/redisServer.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('stale-job')

const cellOf = (maxLength: number): RunCell => ({
  id: 'lora.seed-0',
  options: { model: 'm', task: { task: 'toy.csv' }, settings: resolveSettings({ method: 'lora', maxLength }) },
})

describe.skipIf(!hasRedis)('a job that an earlier call left in the queue (skipped without redis-server)', () => {
  let redis: RedisServer
  let queue: Queue
  beforeAll(async () => {
    redis = await startRedis(folder)
    queue = new Queue(queueName, { connection: { url: redis.url } })
  })
  afterAll(async () => {
    await queue.close()
    await redis.stop()
  })

  /** Queues the cell, and stops as Ctrl-C does once it waits for a worker. */
  const queued = async (cell: RunCell): Promise<void> => {
    const stop = new AbortController()
    const onEvent = (): void => stop.abort()
    await runQueuedCells([cell], { output: join(folder, 'sweep'), redis: redis.url, signal: stop.signal, onEvent })
  }
  const lengths = async (): Promise<readonly number[]> =>
    (await queue.getJobs(['waiting', 'active'])).map(({ data }) => parseCellJob(data).cell.options.settings.maxLength)

  it('has the settings of the newest call, which no worker takes from an earlier one', async () => {
    await queued(cellOf(32))
    await queued(cellOf(24))
    expect(await lengths()).toEqual([24])
    await queued(cellOf(24))
    expect(await lengths()).toEqual([24])
  })

  it('is not replaced while a worker trains it', async () => {
    await queued(cellOf(24))
    let end = (): void => undefined
    const trained = new Promise<void>((resolve) => {
      end = resolve
    })
    const worker = new Worker(queueName, () => trained, { connection: { url: redis.url } })
    await new Promise((resolve) => worker.once('active', resolve))
    await expect(queued(cellOf(32))).rejects.toThrow(
      `${join(folder, 'sweep', 'cells', 'lora.seed-0')}: expected a run with these settings (or another --output), got one that a worker trains now with other settings`,
    )
    expect(await lengths()).toEqual([24])
    end()
    await worker.close()
  })

  it('is refused in one line by a full Redis at the start, and later added as soon as there is room', async () => {
    const client = new Redis(redis.url)
    const call = (signal: AbortSignal, onEvent: (event: ExecutorEvent) => void) =>
      runQueuedCells([cellOf(24)], { output: join(folder, 'full'), redis: redis.url, signal, onEvent })
    await client.config('SET', 'maxmemory', '1')
    const { signal } = new AbortController()
    await expect(call(signal, () => undefined)).rejects.toThrow(
      /^redis redis:\/\/127\.0\.0\.1:\d+: expected a Redis that accepts the commands of a queue, got OOM command not allowed/,
    )
    await client.config('SET', 'maxmemory', '0')

    const stop = new AbortController()
    const lines: string[] = []
    await call(stop.signal, (event) => {
      if (event.kind === 'queue') {
        lines.push(queueLine(event))
        setTimeout(() => void client.config('SET', 'maxmemory', '0'), 2_500) // after further refusals, which are not reported again
      }
      if (event.kind !== 'waiting') return
      lines.push(event.reason)
      if (/missing/.test(event.reason)) stop.abort()
      else void client.config('SET', 'maxmemory', '1').then(() => client.flushall())
    })
    expect(lines).toEqual([
      expect.stringContaining('no worker of salora'),
      expect.stringMatching(/^Redis refuses commands: retrying; running runs continue \(OOM command not allowed/),
      'its job was missing in the queue and was added again',
    ])
    client.disconnect()
  }, 30_000)
})
