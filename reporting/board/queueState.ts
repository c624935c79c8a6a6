/** What stands in the queue of sweeps, for a board to tell: counts, whose they are, and that Redis is gone where it is. Changes nothing there. */
import { setTimeout as pause } from 'node:timers/promises'
import { oneLine } from '../../accelerated/errors/inputError.js'
import { lazyImport } from '../../accelerated/errors/lazyImport.js'
import { queueName } from '../../evaluation/glue/cellJob.js'
import { redisAddress, redactedAddress } from '../../evaluation/glue/redis.js'

export const jobKinds = ['active', 'waiting', 'delayed', 'failed'] as const
export type JobKind = (typeof jobKinds)[number]

export type QueueState = {
  readonly address: string
  readonly counts: Readonly<Record<JobKind, number>> | null
  /** jobs by the folder of their sweep, of the first of each kind */
  readonly owners: ReadonlyArray<{ readonly folder: string } & Readonly<Record<JobKind, number>>>
  /** what ended the newest failed ones */
  readonly failures: ReadonlyArray<{ readonly cell: string; readonly reason: string }>
  /** jobs that were looked into, where there are more; null: all were */
  readonly looked: number | null
  /** why nothing is known, in a line */
  readonly problem: string | null
}

export type WatchedQueue = { readonly look: () => Promise<QueueState>; readonly close: () => Promise<void> }

/** Milliseconds that Redis has to answer. */
const patience = 3_000
/** Milliseconds between two attempts to reach it. */
const retry = 1_000
/** Jobs of one kind that are looked into, and failures that are told. */
const [jobLimit, failureLimit] = [1_000, 10]

/** @throws Mistake for what is no address */
export const watchQueue = async (url: string): Promise<WatchedQueue> => {
  const address = redactedAddress(redisAddress(url).url)
  const [{ Queue }, { Redis }] = [await lazyImport(import('bullmq')), await lazyImport(import('ioredis'))]
  // of its own, since a queue cannot let go of one that is away; what is asked meanwhile fails, and is asked again at the next look
  const connection = new Redis(url, { maxRetriesPerRequest: 1, retryStrategy: () => retry })
  const queue = new Queue(queueName, { connection, skipMetasUpdate: true })
  let last: unknown = null
  const remember = (error: unknown): void => {
    last = error // it connects again by itself
  }
  connection.on('error', remember)
  queue.on('error', remember)
  const silent = (why: string): QueueState => ({ address, counts: null, owners: [], failures: [], looked: null, problem: why })

  const asked = async (): Promise<QueueState> => {
    const counts = await queue.getJobCounts(...jobKinds)
    const owners = new Map<string, Record<JobKind, number>>()
    const failures: QueueState['failures'][number][] = []
    let looked = 0
    for (const kind of jobKinds)
      for (const job of await queue.getJobs([kind], 0, jobLimit - 1)) {
        if (job === undefined) continue // gone meanwhile
        looked++
        const { folder, cell } = namesIn(job.data)
        const own = owners.get(folder) ?? { active: 0, waiting: 0, delayed: 0, failed: 0 }
        own[kind]++
        owners.set(folder, own)
        if (kind === 'failed' && failures.length < failureLimit)
          failures.push({ cell, reason: oneLine(String(job.failedReason ?? 'no reason given')).slice(0, 1_000) })
      }
    const all = { active: 0, waiting: 0, delayed: 0, failed: 0, ...counts }
    return {
      address,
      counts: all,
      owners: [...owners].map(([folder, own]) => ({ folder, ...own })),
      failures,
      looked: jobKinds.some((kind) => all[kind] > jobLimit) ? looked : null,
      problem: null,
    }
  }
  return {
    look: async () => {
      const late = silent(
        `Redis at ${address} does not answer${last === null ? '' : `: ${oneLine(String(last instanceof Error ? last.message || last.name : last))}`}`,
      )
      try {
        const state = await Promise.race([asked(), pause(patience, null)])
        if (state !== null) last = null
        return state ?? late
      } catch {
        return late
      }
    },
    close: async () => connection.disconnect(),
  }
}

/** Of what anybody may have put there. */
const namesIn = (data: unknown): { readonly folder: string; readonly cell: string } => {
  const { output, cell } = (typeof data === 'object' && data !== null ? data : {}) as Readonly<Record<string, unknown>>
  const id = typeof cell === 'object' && cell !== null && 'id' in cell ? cell.id : null
  const text = (value: unknown): string => (typeof value === 'string' ? oneLine(value.slice(0, 300)) : 'no cell of a sweep')
  return { folder: text(output), cell: text(id) }
}
