/** Serves runs on several machines: finds those that ask for workers, and computes parts of one at a time in a child process. */
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JoinEvent } from '../../finetuning/joinRun.js'
import { loadBullmq, openRedis } from '../../finetuning/machines/redis.js'
import { liveRuns, type OfferedRun } from '../../finetuning/machines/runKeys.js'
import { childProcessJoin } from './childProcess.js'

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
  /** Whether a run asks for workers. */
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
          onEvent({ kind: 'refused', id: run.id, message: thrown instanceof Error ? thrown.message : String(thrown) })
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
