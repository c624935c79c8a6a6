/** The state of the queue of sweeps, for the board. Reading it changes nothing in Redis. */
import { setTimeout as pause } from 'node:timers/promises'
import { oneLine } from '../../accelerated/errors/inputError.js'
import { queueName } from '../../evaluation/jobs/queuedJob.js'
import { loadBullmq, loadIoredis } from '../../finetuning/machines/redis.js'
import { redisAddress, redactedAddress } from '../../finetuning/machines/redis.js'
import { jobKinds, type JobKind, type QueueState } from './events.js'

export type WatchedQueue = { readonly read: () => Promise<QueueState>; readonly close: () => Promise<void> }

/** Milliseconds within which Redis must answer. */
const timeout = 3_000
/** Milliseconds between attempts to connect. */
const retryDelay = 1_000
/** Maximum number of inspected jobs of each kind, and of shown failures. */
const [jobLimit, failureLimit] = [1_000, 10]

/** @throws InputError if `url` is not the address of a Redis server */
export const watchQueue = async (url: string): Promise<WatchedQueue> => {
  const address = redactedAddress(redisAddress(url).url)
  const [{ Queue }, { Redis }] = [await loadBullmq(), await loadIoredis()]
  // A connection of the board's own: bullmq cannot close a queue whose server is away. Requests fail meanwhile, and the next read retries.
  const connection = new Redis(url, { maxRetriesPerRequest: 1, retryStrategy: () => retryDelay })
  const queue = new Queue(queueName, { connection, skipMetasUpdate: true })
  let lastError: unknown = null
  const onError = (error: unknown): void => {
    lastError = error // it reconnects on its own
  }
  connection.on('error', onError)
  queue.on('error', onError)
  const unreachable = (): QueueState => {
    const cause = lastError instanceof Error ? lastError.message || lastError.name : lastError
    const problem = `Redis at ${address} does not answer${cause === null ? '' : `: ${oneLine(String(cause))}`}`
    return { address, counts: null, sweeps: [], failures: [], inspected: null, problem }
  }
  const readDatabase = async (): Promise<QueueState> => {
    await connection.select(connection.options.db ?? 0) // a client that connects ignores a refusal, and reads database 0
    return readQueue(queue, address)
  }
  return {
    read: async () => {
      try {
        const state = await Promise.race([readDatabase(), pause(timeout, null)])
        if (state === null) return unreachable()
        lastError = null
        return state
      } catch {
        return unreachable()
      }
    },
    close: async () => connection.disconnect(),
  }
}

/** What this file needs of bullmq's queue. */
export type JobQueue = {
  readonly getJobCounts: (...kinds: JobKind[]) => Promise<Readonly<Record<string, number>>>
  readonly getJobs: (kinds: JobKind[], first: number, last: number) => Promise<readonly (QueuedJob | undefined)[]>
}
type QueuedJob = { readonly id?: string; readonly data: unknown; readonly failedReason?: string }

const noJobs: Readonly<Record<JobKind, number>> = { active: 0, waiting: 0, delayed: 0, failed: 0 }

export const readQueue = async (queue: JobQueue, address: string): Promise<QueueState> => {
  // All kinds at once: jobs move between them, and one that moved between two requests would be missed or counted twice.
  const [counted, ...found] = await Promise.all([
    queue.getJobCounts(...jobKinds),
    ...jobKinds.map((kind) => queue.getJobs([kind], 0, jobLimit - 1)),
  ])
  const counts = { ...noJobs, ...counted }
  const jobs = latestById(found.flatMap((ofKind, i) => ofKind.flatMap((job) => (job === undefined ? [] : [{ job, kind: jobKinds[i]! }]))))
  const bySweep = new Map<string, Record<JobKind, number>>()
  for (const { job, kind } of jobs) {
    const { folder } = namesIn(job.data)
    const ofSweep = bySweep.get(folder) ?? { ...noJobs }
    ofSweep[kind]++
    bySweep.set(folder, ofSweep)
  }
  const failed = jobs.filter(({ kind }) => kind === 'failed').slice(0, failureLimit)
  return {
    address,
    counts,
    sweeps: [...bySweep].map(([folder, ofSweep]) => ({ folder, ...ofSweep })),
    failures: failed.map(({ job }) => ({
      cell: namesIn(job.data).cell,
      reason: oneLine(String(job.failedReason ?? 'unknown error')).slice(0, 1_000),
    })),
    inspected: jobKinds.some((kind) => counts[kind] > jobLimit) ? jobs.length : null,
    problem: null,
  }
}

type JobOfKind = { readonly job: QueuedJob; readonly kind: JobKind }

/** A job that moved between two answers is in two kinds: the later answer counts. */
const latestById = (jobs: readonly JobOfKind[]): readonly JobOfKind[] => [...new Map(jobs.map((one, i) => [one.job.id ?? i, one])).values()]

/** The sweep and the cell of a job. Anybody may have put it into the queue. */
const namesIn = (data: unknown): { readonly folder: string; readonly cell: string } => {
  const { output, cell } = (typeof data === 'object' && data !== null ? data : {}) as Readonly<Record<string, unknown>>
  const id = typeof cell === 'object' && cell !== null && 'id' in cell ? cell.id : null
  const describeCell = (value: unknown): string => (typeof value === 'string' ? oneLine(value.slice(0, 300)) : 'not a cell of a sweep')
  return { folder: describeCell(output), cell: describeCell(id) }
}
