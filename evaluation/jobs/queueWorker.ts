/** A worker: takes cells of sweeps from the queue and runs them, in the sweep's folder or in a folder of its own. */
import { setTimeout as sleep } from 'node:timers/promises'
import { hostname } from 'node:os'
import { lineInFlags } from '../../finetuning/commandLine/optionNames.js'
import type { Job, Queue, Worker } from 'bullmq'
import { findOccupant } from '../../accelerated/storage/folderLock.js'
import { cellFolder, cellState, finishedRun } from './jobFolder.js'
import { checkWithin } from '../../finetuning/run/remoteRun.js'
import { localFolder, parseCellJob, queueName, type CellJob } from './queuedJob.js'
import { attempt, type ExecutorEvent, type Run } from './executor.js'
import {
  loadBullmq,
  aborted,
  checkConnected,
  closeQueue,
  closeTimeout,
  redisAddress,
  refusalReports,
  reportOutages,
  settlesWithin,
  openRedis,
} from '../../finetuning/machines/redis.js'
import type { JoinEvent } from '../../finetuning/joinRun.js'
import { liveRuns, type OfferedRun } from '../../finetuning/machines/runKeys.js'
import { childProcessJoin } from './childProcess.js'

/** What happens to a cell, or to a run whose parts this worker computes. */
export type WorkerEvent = ExecutorEvent | PartsEvent

export type WorkerOptions = {
  readonly redis: string
  /** runs at a time */
  readonly jobs: number
  /** the worker refuses jobs whose folder is outside this one */
  readonly root: string
  /** a folder for all runs, for a worker that does not see the sweep's folder: only results go back; null: the sweep's folder */
  readonly localRoot: string | null
  readonly signal: AbortSignal
  readonly onEvent: (event: WorkerEvent) => void
  /** stop when no job waits and no run is active, those of other workers included */
  readonly untilEmpty: boolean
  readonly run?: Run
  /** a job's lease in milliseconds; the worker renews it twice in that time */
  readonly lease: number
}

type Bullmq = typeof import('bullmq')

/** The queue gives a job up after this many workers died during it. */
const maxStalls = 10

/** Milliseconds between two progress updates, and before a job that this worker returns is taken again. */
const updateInterval = 1_000

/** Milliseconds before a worker looks again at a run's folder that another process uses. */
const occupiedDelay = 3_000

/**
 * Runs jobs until `signal` aborts, or with `untilEmpty` until the queue is empty.
 * @throws InputError if bullmq is not installed or Redis does not answer at the start
 */
export const workQueue = async (options: WorkerOptions): Promise<void> => {
  const { redis, signal, untilEmpty, root, localRoot, onEvent } = options
  const connection = redisAddress(redis)
  const bullmq = await loadBullmq()
  const { worker, lastError, activeRuns } = openWorker(bullmq, options)
  const queue = untilEmpty ? new bullmq.Queue(queueName, { connection }) : null
  queue?.on('error', () => undefined) // the client reconnects by itself
  let parts: RunParts | null = null
  let served: Promise<void> = Promise.resolve()
  try {
    await checkConnected(worker, redis, lastError)
    await reportOutages(worker, options)
    parts = await openRunParts({ redis, root: localRoot === null ? root : null, signal, onEvent })
    served = parts.work(makeTurns(worker, activeRuns))
    // the worker's loop also ends while parts are computed
    const broken = new Promise<never>((_, reject) => void worker.run().catch(reject))
    await Promise.race([broken, aborted(signal), served, ...(queue === null ? [] : [emptied(queue, parts)])])
  } finally {
    parts?.stop()
    await served
    const paused = worker.pause() // takes no new job, and resolves when Redis has the results of all that it took
    while (activeRuns() > 0) await sleep(100)
    await settlesWithin(closeTimeout, paused)
    await worker.close(true) // without waiting for a Redis that may be down
    if (queue !== null) await closeQueue(queue)
  }
}

const openWorker = (bullmq: Bullmq, options: WorkerOptions) => {
  const { redis, jobs, lease } = options
  let active = 0
  // counts runs only: reporting a result to Redis may wait forever
  const countedAttempt: typeof attempt = async (...args) => {
    active++
    try {
      return await attempt(...args)
    } finally {
      active--
    }
  }
  const worker: Worker = new bullmq.Worker(
    queueName,
    (job, token) => runJob({ job, token: token ?? '', bullmq, attempt: countedAttempt }, options),
    {
      connection: redisAddress(redis),
      concurrency: jobs,
      lockDuration: lease,
      stalledInterval: lease / 2,
      maxStalledCount: maxStalls,
      autorun: false,
    },
  )
  let last: unknown = null
  const refusals = refusalReports(options.onEvent)
  worker.on('error', (error) => {
    last = error // the client reconnects by itself
    refusals.refused(error)
  })
  for (const accepted of ['active', 'completed', 'failed'] as const) worker.on(accepted, refusals.accepted)
  return { worker, lastError: (): unknown => last, activeRuns: (): number => active }
}

/**
 * Resolves when no job is waiting, delayed or active, and no run asks for workers. One query counts all three, so no job can move between them
 * unseen.
 */
const emptied = async (queue: Queue, parts: Pick<RunParts, 'isAsked'>): Promise<void> => {
  do await sleep(updateInterval)
  while ((await queue.getJobCountByTypes('waiting', 'delayed', 'active')) > 0 || (await parts.isAsked()))
}

/** Cells and parts take turns: parts begin when no cell runs here, and no cell is taken until they end. */
const makeTurns = (worker: Worker, activeRuns: () => number): Turns => ({
  begin: async () => {
    if (activeRuns() > 0) return false
    await worker.pause(true)
    if (activeRuns() === 0) return true
    void worker.resume()
    return false
  },
  end: () => void worker.resume(),
})

type TakenJob = { readonly job: Job; readonly token: string; readonly bullmq: Bullmq; readonly attempt: typeof attempt }

/** Runs the job's cell. → config.json and result.json, since the sweep may not see this worker's disk */
const runJob = async (takenJob: TakenJob, options: WorkerOptions): Promise<string> => {
  const { cell, output } = await parseCell(takenJob, options)
  const state = await cellState(output, cell)
  if (state.kind === 'done') return finishedRun(output, cell) // the queue delivered the job twice
  const occupant = await findOccupant(cellFolder(output, cell))
  if (occupant !== null) {
    // The lease ran out, but the other worker may be alive. This does not count as an attempt.
    options.onEvent({ kind: 'waiting', cell, reason: `its folder is in use by ${occupant}` })
    return returnToQueue(takenJob, occupiedDelay)
  }
  const onEvent = withProgress(takenJob.job, state.kind === 'begun', options.onEvent)
  const outcome = await takenJob.attempt(cell, state.kind === 'begun', { ...options, output, onEvent })
  onEvent({ kind: 'ended', cell, outcome })
  if (outcome.kind === 'done') return finishedRun(output, cell)
  if (outcome.kind === 'failed') throw new Error(outcome.message)
  // Somebody stopped this run on purpose, so no worker may resume it at once.
  if (!options.signal.aborted) throw new takenJob.bullmq.UnrecoverableError('the run was stopped on its machine')
  return returnToQueue(takenJob, updateInterval) // this worker is stopping: another one resumes the run
}

/** Puts the job back into the queue; this does not count as an attempt. */
const returnToQueue = async ({ job, token, bullmq }: TakenJob, delay: number): Promise<never> => {
  await job.moveToDelayed(Date.now() + delay, token)
  throw new bullmq.DelayedError()
}

/** @throws UnrecoverableError for data that is no cell, or a folder that this worker may not write to: a retry would not help */
const parseCell = async (
  { job, bullmq }: TakenJob,
  { root, localRoot, onEvent }: Pick<WorkerOptions, 'root' | 'localRoot' | 'onEvent'>,
): Promise<CellJob> => {
  try {
    const parsed = parseCellJob(job.data)
    if (localRoot !== null) return { ...parsed, output: localFolder(localRoot, parsed.output) }
    await checkWithin(root, parsed.output)
    return parsed
  } catch (thrown) {
    const message = lineInFlags(thrown)
    onEvent({ kind: 'refused', id: job.id ?? '', message })
    throw new bullmq.UnrecoverableError(message)
  }
}

/** Also sends steps to Redis, at most one in `updateInterval`, for a process that waits for the job. */
const withProgress = (job: Job, resumes: boolean, onEvent: WorkerOptions['onEvent']): WorkerOptions['onEvent'] => {
  let last = -Infinity
  return (event) => {
    onEvent(event)
    if (event.kind !== 'step' || performance.now() - last < updateInterval) return
    last = performance.now()
    job.updateProgress({ step: event.step, steps: event.steps, resumes }).catch(() => undefined) // Redis may be down; the run continues
  }
}

/** A run refused this worker, or its process died. */
export type PartsEvent = JoinEvent | { readonly kind: 'refused'; readonly id: string; readonly message: string }

export type PartsOptions = {
  readonly redis: string
  readonly root: string | null
  readonly signal: AbortSignal
  readonly onEvent: (event: PartsEvent) => void
}

/** Milliseconds between two looks for runs, and before a run that failed here is joined again. */
const [lookInterval, failedDelay] = [500, 60_000]

/** What takes turns with parts: the cells of sweeps. */
export type Turns = {
  /** Takes no more cells. @returns false while one runs */
  readonly begin: () => Promise<boolean>
  readonly end: () => void
}

export type RunParts = {
  /** Serves runs until the signal aborts. */
  readonly work: (turns: Turns) => Promise<void>
  readonly isAsked: () => Promise<boolean>
  /** Leaves the run, and stops serving. */
  readonly stop: () => void
}

/** @throws InputError if ioredis is not installed or Redis does not answer */
export const openRunParts = async ({ redis, root, signal: outer, onEvent }: PartsOptions): Promise<RunParts> => {
  const stop = new AbortController()
  const signal = AbortSignal.any([outer, stop.signal])
  // its outages are those of the queue, which reports them
  const [bullmq, client] = [await loadBullmq(), await openRedis(redis, { signal, onEvent: () => undefined })]
  const failed = new Map<string, number>()
  const worker = `process ${process.pid} on ${hostname()}`
  const next = async (): Promise<OfferedRun | undefined> => {
    const live = await liveRuns(bullmq, client).catch(() => []) // Redis is down
    return live.find(({ id }) => performance.now() - (failed.get(id) ?? -Infinity) > failedDelay)
  }
  return {
    isAsked: async () => (await next()) !== undefined,
    work: async ({ begin, end }) => {
      for (; !signal.aborted; await sleep(lookInterval, undefined, { signal }).catch(() => undefined)) {
        const run = await next()
        if (run === undefined || !(await begin())) continue
        try {
          for await (const event of childProcessJoin({ ...run, redis, worker, root }, { signal })) onEvent(event)
        } catch (thrown) {
          failed.set(run.id, performance.now())
          onEvent({ kind: 'refused', id: run.id, message: lineInFlags(thrown) })
        } finally {
          end()
        }
      }
    },
    stop: () => {
      stop.abort()
      client.disconnect()
    },
  }
}
