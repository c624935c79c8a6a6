/** A worker: takes cells of sweeps from the queue and makes their runs, in the sweep's folder or, where it does not see that, in one of its own. */
import { setTimeout as pause } from 'node:timers/promises'
import { DelayedError, type Job, UnrecoverableError, Worker } from 'bullmq'
import { cellState } from './cellFolder.js'
import { checkWithin, ownFolder, parseCellJob, queueName, type CellJob } from './cellJob.js'
import { finishedRun } from './finishedRun.js'
import { redisAddress, unreachable } from './redis.js'
import { attempt, type Run, type WorkEvent } from './work.js'

export type WorkerOptions = {
  readonly redis: string
  /** runs at a time */
  readonly jobs: number
  /** jobs for folders outside of it are refused */
  readonly root: string
  /** instead: runs are made in this folder, whatever the sweep's is, and only their results go back; null: in the sweep's */
  readonly own: string | null
  readonly signal: AbortSignal
  readonly tell: (event: WorkEvent) => void
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

/** Works until `signal` is aborted, or with `untilEmpty` until the queue is empty. @throws Mistake where Redis does not answer at first */
export const workQueue = async (options: WorkerOptions): Promise<void> => {
  const { redis, jobs, signal, untilEmpty, lease } = options
  const busy = new Set<string>()
  const worker = new Worker(
    queueName,
    async (job, token) => {
      busy.add(String(job.id))
      try {
        return await resultOf(job, token ?? '', options)
      } finally {
        busy.delete(String(job.id))
      }
    },
    {
      connection: redisAddress(redis),
      concurrency: jobs,
      lockDuration: lease,
      stalledInterval: lease / 2,
      maxStalledCount: mostDeaths,
      autorun: false,
    },
  )
  let last: unknown = null
  worker.on('error', (error) => {
    last = error // it connects again by itself
  })
  const ready = worker.waitUntilReady().then(
    () => true,
    () => false,
  )
  try {
    if (!(await Promise.race([ready, pause(5_000, false)]))) throw unreachable(redis, last)
    const running = worker.run()
    const ended = new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      signal.addEventListener('abort', () => resolve())
      if (untilEmpty) worker.on('drained', () => (busy.size === 0 ? resolve() : undefined))
    })
    await Promise.race([ended, running])
  } finally {
    await worker.close()
  }
}

/** The run as it goes back: what a worker elsewhere made need not be seen from here. */
const resultOf = async (job: Job, token: string, options: WorkerOptions): Promise<string> => {
  const { cell, output } = taken(job.data, options)
  const state = await cellState(output, cell)
  if (state.kind === 'done') return finishedRun(output, cell) // delivered a second time
  const tell = tellerOf(job, state.kind === 'begun', options.tell)
  const outcome = await attempt(cell, state.kind === 'begun', { ...options, output, tell })
  tell({ kind: 'ended', cell, outcome })
  if (outcome.kind === 'done') return finishedRun(output, cell)
  if (outcome.kind === 'failed') throw new Error(outcome.message)
  if (!options.signal.aborted) throw new UnrecoverableError('it was told to stop where it ran') // this run alone: no worker is to go on at once
  await job.moveToDelayed(Date.now() + interval, token) // this worker was asked to end: another goes on, and nothing counts as an attempt
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
