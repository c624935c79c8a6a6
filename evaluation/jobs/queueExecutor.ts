/**
 * Runs cells on workers on any machine: each cell is a job in Redis (BullMQ). A worker renews its job's lease while it lives. If it
 * dies, another worker takes the job and resumes from the run's checkpoint.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Job, Queue } from 'bullmq'
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import { lineInFlags } from '../../finetuning/commandLine/optionNames.js'
import { type RunCell, cellFolder, cellState, cellStates, keepFinishedRun } from './jobFolder.js'
import { toJobData, hashJobId, queueName, type CellJob } from './queuedJob.js'
import type { CellOutcome, Executor, ExecutorOptions } from './executor.js'
import { versions } from '../../finetuning/run/versions.js'
import {
  loadBullmq,
  aborted,
  checkConnected,
  closeQueue,
  redisAddress,
  redactedAddress,
  findRefusal,
  refusalReports,
  refusedError,
  reportOutages,
} from '../../finetuning/machines/redis.js'

/** Attempts of a run, and milliseconds before the second one; each further one waits twice as long. */
const retries = { attempts: 3, delay: 5_000 }

/** Milliseconds between two looks at the jobs. */
const pollInterval = 1_000

/** Seconds that an ended job stays in Redis. */
const jobLifetime = 7 * 24 * 3600

export type QueueOptions = Omit<ExecutorOptions, 'jobs' | 'run'> & {
  readonly redis: string
  /** milliseconds before the second attempt, for tests */
  readonly delay?: number
}

/** Runs cells on the workers of this Redis. */
export const queueExecutor =
  (redis: string): Executor =>
  (cells, context) =>
    runQueuedCells(cells, { ...context, redis })

/**
 * Outcomes in the order of the cells. If the signal aborts, the jobs stay in the queue: workers continue, and the same call finds their results.
 * @throws InputError if a cell's folder has another run, bullmq is not installed, or Redis does not answer or refuses the jobs
 */
export const runQueuedCells = async (cells: readonly RunCell[], options: QueueOptions): Promise<readonly CellOutcome[]> => {
  const { output, signal, onEvent } = options
  const states = await cellStates(output, cells)
  const queue = await openQueue(options.redis)
  try {
    const outcomes = new Map<string, CellOutcome>()
    const end = (cell: RunCell, outcome: CellOutcome): void => {
      outcomes.set(cell.id, outcome)
      onEvent({ kind: 'ended', cell, outcome })
    }
    await reportOutages(queue, options)
    const poll = jobPoll(queue, options)
    const reportAbsence = watchWorkers(queue, options)
    const refusals = refusalReports(onEvent)
    const look = async (): Promise<void> => {
      for (const cell of cells) {
        if (outcomes.has(cell.id) || signal.aborted) continue
        const outcome = await poll(cell)
        if (outcome !== null) end(cell, outcome)
      }
      await reportAbsence(cells.find(({ id }) => !outcomes.has(id)))
      refusals.accepted()
    }
    const work = async (): Promise<void> => {
      for (const [i, cell] of cells.entries()) {
        const state = states[i]
        if (state?.kind === 'done') end(cell, { ...state, reused: true })
        else
          await enqueue(queue, { cell, output }, options.delay).catch((thrown: unknown) => {
            const refusal = findRefusal(thrown)
            throw refusal === null ? thrown : refusedError(options.redis, refusal)
          })
      }
      while (outcomes.size < cells.length && !signal.aborted) {
        await look().catch((thrown: unknown) => {
          if (!refusals.refused(thrown)) throw thrown
        })
        if (outcomes.size < cells.length) await sleep(pollInterval, undefined, { signal }).catch(() => undefined)
      }
    }
    // commands wait for a Redis that is down, but not after Ctrl-C
    await Promise.race([work(), aborted(signal)])
    return cells.map(({ id }) => outcomes.get(id) ?? { kind: 'stopped' })
  } finally {
    await closeQueue(queue)
  }
}

const openQueue = async (url: string): Promise<Queue> => {
  const { Queue } = await loadBullmq()
  const queue = new Queue(queueName, { connection: redisAddress(url) })
  let last: unknown = null
  queue.on('error', (error) => {
    last = error // the client reconnects by itself
  })
  try {
    await checkConnected(queue, url, () => last)
    return queue
  } catch (thrown) {
    await closeQueue(queue)
    throw thrown
  }
}

/**
 * Says that no worker is connected, once each time that the last one leaves, and that there is one again. A Redis that does not list its clients
 * says nothing.
 */
export const watchWorkers = (
  queue: Pick<Queue, 'getWorkersCount'>,
  { redis, onEvent }: Pick<QueueOptions, 'redis' | 'onEvent'>,
): ((waiting: RunCell | undefined) => Promise<void>) => {
  let isAlone = false
  return async (cell) => {
    if (cell === undefined) return
    const workers = await queue.getWorkersCount().catch(() => null)
    if (workers === 0 && !isAlone)
      onEvent({
        kind: 'waiting',
        cell,
        reason: `no worker of salora ${versions['salora']} is connected (salora worker --redis ${redactedAddress(redis)})`,
      })
    if (workers !== null && workers > 0 && isAlone) onEvent({ kind: 'waiting', cell, reason: 'a worker has connected' })
    if (workers !== null) isAlone = workers === 0
  }
}

/**
 * One job per cell. A job that ended without leaving a result is replaced, and one of an earlier call with other settings.
 * @throws InputError if a worker trains the latter now
 */
const enqueue = async (queue: Pick<Queue, 'getJob' | 'add'>, data: CellJob, delay: number = retries.delay): Promise<void> => {
  const [jobId, job] = [hashJobId(data), toJobData(data)]
  const earlier = await queue.getJob(jobId)
  if (earlier !== undefined) {
    const isOther = JSON.stringify(earlier.data) !== JSON.stringify(job)
    const state = await earlier.getState()
    if (isOther && state === 'active')
      throw inputError(
        cellFolder(data.output, data.cell),
        'a run with these settings (or another --output)',
        'one that a worker trains now with other settings',
      )
    if (isOther || state === 'completed' || state === 'failed') await earlier.remove()
  }
  await queue.add('cell', job, {
    jobId,
    attempts: retries.attempts,
    backoff: { type: 'exponential', delay },
    removeOnComplete: { age: jobLifetime },
    removeOnFail: { age: jobLifetime },
  })
}

/** What `jobPoll` needs of a queue. */
export type JobSource = Pick<Queue, 'getJobState' | 'getJob' | 'add'>

/** Looks at a cell's job and emits its progress. → the outcome, or null while the run lasts */
export const jobPoll = (
  queue: JobSource,
  { output, onEvent, delay }: Pick<QueueOptions, 'output' | 'onEvent' | 'delay'>,
): ((cell: RunCell) => Promise<CellOutcome | null>) => {
  const started = new Set<string>()
  /** Redis lost the job, or somebody removed it: the cell is queued again. */
  const withoutJob = async (cell: RunCell): Promise<CellOutcome | null> => {
    const state = await cellState(output, cell)
    if (state.kind === 'done') return { ...state, reused: false }
    await enqueue(queue, { cell, output }, delay)
    onEvent({ kind: 'waiting', cell, reason: 'its job was missing in the queue and was added again' })
    return null
  }
  return async (cell) => {
    const jobId = hashJobId({ cell, output })
    const state = await queue.getJobState(jobId) // before the job itself: a job that ends in between would be read without its result
    const job = await queue.getJob(jobId)
    if (job === undefined) return withoutJob(cell)
    const outcome = await readOutcome(state, job, { cell, output })
    if (outcome !== null) return outcome
    const progress = parseProgress(job)
    if (progress === null) return null
    if (!started.has(cell.id)) onEvent({ kind: 'started', cell, resumes: progress.resumes })
    started.add(cell.id)
    onEvent({ kind: 'step', cell, step: progress.step, steps: progress.steps })
    return null
  }
}

/** null while the job lasts */
const readOutcome = async (state: string, job: Job, { cell, output }: CellJob): Promise<CellOutcome | null> => {
  if (state === 'failed') return { kind: 'failed', message: job.failedReason ?? 'no reason given', attempts: job.attemptsMade }
  if (state !== 'completed') return null
  try {
    return { kind: 'done', result: await keepFinishedRun(job.returnvalue, output, cell), reused: false }
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    return { kind: 'failed', message: lineInFlags(thrown), attempts: job.attemptsMade }
  }
}

type Progress = { readonly step: number; readonly steps: number; readonly resumes: boolean }

const parseProgress = ({ progress }: Job): Progress | null => {
  if (progress === null || typeof progress !== 'object') return null
  const { step, steps, resumes } = progress as Readonly<Record<string, unknown>>
  return typeof step === 'number' && typeof steps === 'number' ? { step, steps, resumes: resumes === true } : null
}
