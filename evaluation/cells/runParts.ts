/** Serves runs on several machines: finds those that ask for workers, and computes parts of one at a time in a child process. */
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { openRedis } from '../../finetuning/distributed/redis.js'
import { ended, keysOf, runIndex } from '../../finetuning/distributed/runKeys.js'
import type { JoinEvent } from '../../finetuning/joinRun.js'
import { childMessages } from './childMessages.js'
import type { ToPartProcess } from './partProcess.js'

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
export const openRunParts = async (options: PartsOptions): Promise<RunParts> => {
  const { redis, root, onEvent } = options
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  // its outages are those of the queue, which reports them
  const client = await openRedis(redis, { signal, onEvent: () => undefined })
  const failed = new Map<string, number>()
  const worker = `process ${process.pid} on ${hostname()}`
  const next = async (): Promise<string | undefined> =>
    (await liveRuns(client)).find((id) => performance.now() - (failed.get(id) ?? -Infinity) > failedDelay)
  return {
    isAsked: async () => (await next()) !== undefined,
    work: async ({ begin, end }) => {
      for (; !signal.aborted; await sleep(lookInterval, undefined, { signal }).catch(() => undefined)) {
        const id = await next()
        if (id === undefined || !(await begin())) continue
        try {
          const join: ToPartProcess = { kind: 'join', options: { redis, id, worker, root } }
          for await (const event of childMessages<JoinEvent>(program, join, { signal, what: `run ${id}` })) onEvent(event)
        } catch (thrown) {
          failed.set(id, performance.now())
          onEvent({ kind: 'refused', id, message: thrown instanceof Error ? thrown.message : String(thrown) })
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

const program = new URL('./partProcess.js', import.meta.url)

/** The runs that ask for workers; none while Redis is down. */
const liveRuns = async (client: Redis): Promise<ReadonlyArray<string>> => {
  try {
    const ids = (await client.smembers(runIndex)).filter((id) => /^[0-9a-f]{16}$/.test(id)).sort()
    const live: string[] = []
    for (const id of ids) {
      const setup = await client.get(keysOf(id).setup)
      if (setup === null) await client.srem(runIndex, id)
      else if (setup !== ended && (await client.exists(keysOf(id).leader)) === 1) live.push(id)
    }
    return live
  } catch {
    return []
  }
}
