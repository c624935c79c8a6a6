/** A worker: takes cells of sweeps from the queue and makes their runs, in the sweep's folder or, where it does not see that, in one of its own. */
import { setTimeout as pause } from 'node:timers/promises'
import { DelayedError, type Job, Queue, UnrecoverableError, Worker } from 'bullmq'
import { occupantOf } from '../../accelerated/storage/folderLock.js'
import { cellFolder, cellState } from './cellFolder.js'
import { checkWithin, ownFolder, parseCellJob, queueName, type CellJob } from './cellJob.js'
import { finishedRun } from './finishedRun.js'
import { aborted, answers, closeTimeout, closeQueue, redisAddress, reportOutages, unreachableError, within } from './redis.js'
import { attempt, type Run, type ExecutorEvent } from './executor.js'

export type WorkerOptions = {
  readonly redis: string
  /** runs at a time */
  readonly jobs: number
  /** jobs for folders outside of it are refused */
  readonly root: string
  /** instead: runs are made in this folder, whatever the sweep's is, and only their results go back; null: in the sweep's */
  readonly own: string | null
  readonly signal: AbortSignal
  readonly tell: (event: ExecutorEvent) => void
  /** end when nothing is left to take */
  readonly untilEmpty: boolean
  readonly run?: Run
  /** milliseconds of a lease, which is renewed twice in that time */
  readonly lease: number
}

/** Workers may die over one job so often before it is given up. */
const mostDeaths = 10

/** Milliseconds between two words of progress. */
const interval = 1_000

/** Milliseconds between two looks at a folder that another process may be at work in. */
const occupied = 3_000

/** Works until `signal` is aborted, or with `untilEmpty` until the queue is empty, of runs that others make too. @throws Mistake where Redis does not answer at first */
export const workQueue = async (options: WorkerOptions): Promise<void> => {
  const { redis, jobs, signal, untilEmpty, lease } = options
  const connection = redisAddress(redis)
  /** runs that are being made; what is told of them to Redis, after, may wait without end */
  let making = 0
  const counted: typeof attempt = async (...given) => {
    making++
    try {
      return await attempt(...given)
    } finally {
      making--
    }
  }
  const worker = new Worker(queueName, (job, token) => resultOf(job, token ?? '', options, counted), {
    connection,
    concurrency: jobs,
    lockDuration: lease,
    stalledInterval: lease / 2,
    maxStalledCount: mostDeaths,
    autorun: false,
  })
  const queue = untilEmpty ? new Queue(queueName, { connection }) : null
  queue?.on('error', () => undefined) // it connects again by itself
  let last: unknown = null
  worker.on('error', (error) => {
    last = error // likewise
  })
  try {
    if (!(await answers(worker))) throw unreachableError(redis, last)
    await reportOutages(worker, options)
    const running = worker.run()
    await Promise.race([running, aborted(signal), ...(queue === null ? [] : [emptied(queue)])])
  } finally {
    const ended = worker.pause() // takes nothing more, and comes when all that was taken is answered for
    while (making > 0) await pause(100)
    await within(closeTimeout, ended)
    await worker.close(true) // hangs up: a Redis that is gone is told nothing
    if (queue !== null) await closeQueue(queue)
  }
}

/** Comes when no run waits, for its turn or for the time of its next attempt, and none is at work, which may yet fail: asked of Redis at one moment. */
const emptied = async (queue: Queue): Promise<void> => {
  do await pause(interval)
  while ((await queue.getJobCountByTypes('waiting', 'delayed', 'active')) > 0)
}

/** The run as it goes back: what a worker elsewhere made need not be seen from here. */
const resultOf = async (job: Job, token: string, options: WorkerOptions, make: typeof attempt): Promise<string> => {
  const { cell, output } = taken(job.data, options)
  const state = await cellState(output, cell)
  if (state.kind === 'done') return finishedRun(output, cell) // delivered a second time
  const occupant = await occupantOf(cellFolder(output, cell))
  if (occupant !== null) {
    // its lease ran out, but nobody can tell from here that its worker is gone, or it is not: no attempt of ours
    options.tell({ kind: 'waits', cell, why: `in its folder is ${occupant}` })
    return later(job, token, occupied)
  }
  const tell = tellerOf(job, state.kind === 'begun', options.tell)
  const outcome = await make(cell, state.kind === 'begun', { ...options, output, tell })
  tell({ kind: 'ended', cell, outcome })
  if (outcome.kind === 'done') return finishedRun(output, cell)
  if (outcome.kind === 'failed') throw new Error(outcome.message)
  if (!options.signal.aborted) throw new UnrecoverableError('it was told to stop where it ran') // this run alone: no worker is to go on at once
  return later(job, token, interval) // this worker was asked to end: another goes on
}

/** Back into the queue, which counts as no attempt. */
const later = async (job: Job, token: string, milliseconds: number): Promise<never> => {
  await job.moveToDelayed(Date.now() + milliseconds, token)
  throw new DelayedError()
}

/** @throws UnrecoverableError for what is no cell of a sweep, or none for this worker: trying again would not help */
const taken = (data: unknown, { root, own }: Pick<WorkerOptions, 'root' | 'own'>): CellJob => {
  try {
    const job = parseCellJob(data)
    if (own !== null) return { ...job, output: ownFolder(own, job.output) }
    checkWithin(root, job.output)
    return job
  } catch (thrown) {
    throw new UnrecoverableError(thrown instanceof Error ? thrown.message : String(thrown))
  }
}

/** Tells here, and now and then whoever waits for the job. */
const tellerOf = (job: Job, resumes: boolean, tell: WorkerOptions['tell']): WorkerOptions['tell'] => {
  let last = -Infinity
  return (event) => {
    tell(event)
    if (event.kind !== 'step' || performance.now() - last < interval) return
    last = performance.now()
    job.updateProgress({ step: event.step, steps: event.steps, resumes }).catch(() => undefined) // Redis may be away for a while: the run is not
  }
}
