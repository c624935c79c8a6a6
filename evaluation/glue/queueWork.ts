/**
 * Works cells off by workers on any machine: each cell is a job in Redis (BullMQ), whose lease a worker renews while it is alive; the job of one
 * that is gone is another's, which goes on at the run's checkpoint. What comes back is what workOff gives.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { type Job, Queue } from 'bullmq'
import { InputError } from '../../accelerated/errors/inputError.js'
import type { Cell } from './cell.js'
import { cellState, cellStates } from './cellFolder.js'
import { jobIdOf, queueName, type CellJob } from './cellJob.js'
import { keepFinishedRun } from './finishedRun.js'
import { aborted, answers, closeQueue, redisAddress, reportOutages, unreachableError } from './redis.js'
import type { CellOutcome, ExecutorOptions } from './executor.js'

/** Attempts of a run, the first included, and milliseconds before the second; each further one waits twice as long. */
const retries = { attempts: 3, delay: 5_000 }

/** Milliseconds between looks at the jobs. */
const interval = 1_000

export type QueueOptions = Omit<ExecutorOptions, 'jobs' | 'run'> & {
  readonly redis: string
  /** milliseconds before a second attempt; of tests */
  readonly delay?: number
}

/**
 * Outcomes in the order of the cells. Where the signal comes, jobs stay in the queue: workers go on, and the same call finds what they did.
 * @throws Mistake for a folder that holds another run, or a Redis that does not answer
 */
export const queueWork = async (cells: ReadonlyArray<Cell>, options: QueueOptions): Promise<ReadonlyArray<CellOutcome>> => {
  const { output, signal, tell } = options
  const states = await cellStates(output, cells)
  const queue = await openQueue(options.redis)
  try {
    const outcomes = new Map<string, CellOutcome>()
    const end = (cell: Cell, outcome: CellOutcome): void => {
      outcomes.set(cell.id, outcome)
      tell({ kind: 'ended', cell, outcome })
    }
    await reportOutages(queue, options)
    /** Redis has lost the job, or somebody took it out: the run is made nevertheless. */
    const withoutJob = async (cell: Cell): Promise<CellOutcome | null> => {
      const state = await cellState(output, cell)
      if (state.kind === 'done') return { ...state, kept: false }
      await enqueue(queue, { cell, output }, options.delay ?? retries.delay)
      tell({ kind: 'waits', cell, why: 'its job was gone from the queue, and was put there once more' })
      return null
    }
    const started = new Set<string>()
    const look = async (cell: Cell): Promise<void> => {
      const job = await queue.getJob(jobIdOf({ cell, output }))
      const outcome = job === undefined ? await withoutJob(cell) : await outcomeOf(job, { cell, output })
      if (outcome !== null) return end(cell, outcome)
      const progress = progressOf(job)
      if (progress === null) return
      if (!started.has(cell.id)) tell({ kind: 'started', cell, resumes: progress.resumes })
      started.add(cell.id)
      tell({ kind: 'step', cell, step: progress.step, steps: progress.steps })
    }
    const work = async (): Promise<void> => {
      for (const [i, cell] of cells.entries()) {
        const state = states[i]
        if (state?.kind === 'done') end(cell, { ...state, kept: true })
        else await enqueue(queue, { cell, output }, options.delay ?? retries.delay)
      }
      while (outcomes.size < cells.length && !signal.aborted) {
        for (const cell of cells) if (!outcomes.has(cell.id) && !signal.aborted) await look(cell)
        if (outcomes.size < cells.length) await pause(interval, undefined, { signal }).catch(() => undefined)
      }
    }
    await Promise.race([work(), aborted(signal)]) // a Redis that is gone is waited for, but not after Ctrl-C
    return cells.map(({ id }) => outcomes.get(id) ?? { kind: 'stopped' })
  } finally {
    await closeQueue(queue)
  }
}

const openQueue = async (url: string): Promise<Queue> => {
  const queue = new Queue(queueName, { connection: redisAddress(url) })
  let last: unknown = null
  queue.on('error', (error) => {
    last = error // it connects again by itself
  })
  if (await answers(queue)) return queue
  await closeQueue(queue)
  throw unreachableError(url, last)
}

/** One job a cell. One that ended before without leaving a result is done anew. */
const enqueue = async (queue: Queue, data: CellJob, delay: number): Promise<void> => {
  const jobId = jobIdOf(data)
  const earlier = await queue.getJob(jobId)
  if (earlier !== undefined && ['completed', 'failed'].includes(await earlier.getState())) await earlier.remove()
  await queue.add('cell', data, {
    jobId,
    attempts: retries.attempts,
    backoff: { type: 'exponential', delay },
    removeOnComplete: { age: 7 * 24 * 3600 },
    removeOnFail: { age: 7 * 24 * 3600 },
  })
}

const outcomeOf = async (job: Job, { cell, output }: CellJob): Promise<CellOutcome | null> => {
  const state = await job.getState()
  if (state === 'completed')
    return keepFinishedRun(job.returnvalue, output, cell).then(
      (result) => ({ kind: 'done', result, kept: false }),
      (thrown: unknown) => {
        if (!(thrown instanceof InputError)) throw thrown
        return { kind: 'failed', message: thrown.message, attempts: job.attemptsMade }
      },
    )
  return state === 'failed' ? { kind: 'failed', message: job.failedReason ?? 'no reason given', attempts: job.attemptsMade } : null
}

type Progress = { readonly step: number; readonly steps: number; readonly resumes: boolean }

const progressOf = (job: Job | undefined): Progress | null => {
  const given = job?.progress
  if (given === null || typeof given !== 'object') return null
  const { step, steps, resumes } = given as Readonly<Record<string, unknown>>
  return typeof step === 'number' && typeof steps === 'number' ? { step, steps, resumes: resumes === true } : null
}
