/** A micro-batcher: calls that arrive while a batch runs form the next batch, so that concurrent callers share the cost of a run. */
import { setImmediate } from 'node:timers'

/** What became of one item of a batch. */
export type Outcome<O> = { readonly value: O } | { readonly error: Error }

export type MicroBatcher<I, O> = {
  /** Adds an item to the next batch. An item whose signal is aborted while it waits is never run. @throws the item's own error */
  readonly call: (item: I, signal?: AbortSignal) => Promise<O>
  /** items that wait or run */
  readonly pending: () => number
  /** Resolves when no item waits or runs. */
  readonly idle: () => Promise<void>
}

type Waiting<I, O> = {
  readonly item: I
  readonly resolve: (value: O) => void
  readonly reject: (error: Error) => void
}

/**
 * Batches run one after another, each with the oldest items, at most `largest`. If a whole batch fails, its items run alone, so that an error reaches
 * only the call that causes it.
 * @param run gives one outcome per item, in their order
 */
export const microBatcher = <I, O>(run: (items: readonly I[]) => Promise<readonly Outcome<O>[]>, largest: number): MicroBatcher<I, O> => {
  let waiting: Waiting<I, O>[] = []
  let running = 0
  let isActive = false
  let whenIdle: (() => void)[] = []

  const settle = async (batch: readonly Waiting<I, O>[]): Promise<void> => {
    try {
      const outcomes = await run(batch.map(({ item }) => item))
      batch.forEach(({ resolve, reject }, i) => {
        const outcome = outcomes[i]
        if (outcome === undefined) reject(new Error(`microBatcher: expected ${batch.length} outcomes, got ${outcomes.length}`))
        else if ('error' in outcome) reject(outcome.error)
        else resolve(outcome.value)
      })
    } catch (thrown) {
      const [only] = batch
      if (batch.length === 1) only?.reject(thrown instanceof Error ? thrown : new Error(String(thrown)))
      else for (const one of batch) await settle([one])
    }
  }

  const runAll = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, largest)
      waiting = waiting.slice(largest)
      running = batch.length
      await settle(batch)
      running = 0
    }
    isActive = false
    for (const resolve of whenIdle) resolve()
    whenIdle = []
  }

  const start = (): void => {
    if (isActive) return
    isActive = true
    setImmediate(() => void runAll()) // after the other calls of this turn of the event loop
  }

  return {
    call: (item, signal) =>
      new Promise<O>((resolve, reject) => {
        const abort = (): void => {
          if (!waiting.includes(entry)) return // it runs: others share its batch
          waiting = waiting.filter((other) => other !== entry)
          reject(abortError(signal))
        }
        const end = (): void => signal?.removeEventListener('abort', abort)
        const entry: Waiting<I, O> = {
          item,
          resolve: (value) => {
            end()
            resolve(value)
          },
          reject: (error) => {
            end()
            reject(error)
          },
        }
        if (signal?.aborted === true) return reject(abortError(signal))
        signal?.addEventListener('abort', abort, { once: true })
        waiting.push(entry)
        start()
      }),
    pending: () => waiting.length + running,
    idle: () => (isActive ? new Promise((resolve) => whenIdle.push(resolve)) : Promise.resolve()),
  }
}

const abortError = (signal: AbortSignal | undefined): Error => {
  const cause: unknown = signal?.reason
  return cause instanceof Error ? cause : new DOMException('This operation was aborted', 'AbortError')
}
