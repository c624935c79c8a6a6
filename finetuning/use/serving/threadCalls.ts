/** Calls of a serving thread: sends requests, and matches replies with the calls that wait for them. */
import { ChangedFileError } from '../../../accelerated/errors/inputError.js'
import { fromSentError } from '../../../accelerated/errors/sentError.js'
import type { PlacementReport } from '../../run/devicePlacement.js'
import type { Reply, Request, ServingOptions } from './protocol.js'
import { startServingThread, type ServingThread } from './servingThread.js'

type Opened = Extract<Reply, { readonly kind: 'opened' }>['runs']

export type ThreadCalls = {
  /** @throws the error of the first run that does not open */
  readonly opened: Promise<Opened>
  /** Sends a request, and hands each of its replies to `take` until that returns a value. @throws the request's own error */
  readonly ask: <T>(request: (id: number) => Request, take: (reply: Reply) => T | undefined, signal?: AbortSignal) => Promise<T>
  /** Resolves with the reason if the thread ends before `end` is called, or if its model's files have changed and no later answer is right. */
  readonly died: Promise<Error>
  /** Releases the runs and ends the thread. */
  readonly end: () => Promise<void>
}

type Waiting = { readonly take: (reply: Reply) => void; readonly fail: (error: Error) => void }
type Settled<T> = { readonly promise: Promise<T>; readonly resolve: (value: T) => void; readonly reject: (error: Error) => void }

const settled = <T>(): Settled<T> => {
  let functions: Pick<Settled<T>, 'resolve' | 'reject'> = { resolve: () => undefined, reject: () => undefined }
  const promise = new Promise<T>((resolve, reject) => {
    functions = { resolve, reject }
  })
  return { promise, ...functions }
}

/** What the thread says beside its answers. */
export type ThreadNotes = {
  readonly onProgress?: (what: string) => void
  readonly onPlacement?: PlacementReport
}

export const callThread = (options: ServingOptions, { onProgress, onPlacement }: ThreadNotes): ThreadCalls => {
  const calls = new Map<number, Waiting>()
  const [opened, released, died] = [settled<Opened>(), settled<void>(), settled<Error>()]
  let lost: Error | null = null
  let isEnding = false
  const fail = (id: number, error: Error): void => {
    calls.get(id)?.fail(error)
    if (error instanceof ChangedFileError) died.resolve(error)
  }
  const onReply = (reply: Reply): void => {
    if (reply.kind === 'preparing') onProgress?.(reply.what)
    else if (reply.kind === 'placement') onPlacement?.(reply.line, reply.warns)
    else if (reply.kind === 'opened') opened.resolve(reply.runs)
    else if (reply.kind === 'refused') opened.reject(fromSentError(reply.error))
    else if (reply.kind === 'released') released.resolve()
    else if (reply.kind === 'failed') fail(reply.id, fromSentError(reply.error))
    else calls.get(reply.id)?.take(reply)
  }
  const onExit = (error: Error | null): void => {
    const reason = error ?? new Error('serving: expected a thread that answers, got one that has ended')
    lost = reason
    opened.reject(reason)
    for (const { fail } of [...calls.values()]) fail(reason)
    released.resolve()
    if (!isEnding) died.resolve(reason)
  }
  const thread: ServingThread = startServingThread(options, { onReply, onExit })
  const holdWhileBusy = (): void => thread.hold(isEnding || calls.size > 0)
  opened.promise.then(holdWhileBusy, () => undefined)
  let nextId = 0
  return {
    opened: opened.promise,
    died: died.promise,
    ask: (request, take, signal) =>
      lost === null ? askThread(thread, calls, { id: nextId++, request, take, signal }, holdWhileBusy) : Promise.reject(lost as Error),
    end: async () => {
      isEnding = true
      holdWhileBusy()
      const isOpen = await opened.promise.then(
        () => true,
        () => false, // nothing is open
      )
      if (isOpen && lost === null) {
        thread.send({ kind: 'release' })
        await released.promise
      }
      await thread.end()
    },
  }
}

type Call<T> = {
  readonly id: number
  readonly request: (id: number) => Request
  readonly take: (reply: Reply) => T | undefined
  readonly signal: AbortSignal | undefined
}

const askThread = <T>(
  thread: ServingThread,
  calls: Map<number, Waiting>,
  { id, request, take, signal }: Call<T>,
  onCount: () => void,
): Promise<T> =>
  new Promise<T>((resolve, reject) => {
    const stop = (): void => thread.send({ kind: 'stop', id })
    const end = (): void => {
      calls.delete(id)
      onCount()
      signal?.removeEventListener('abort', stop)
    }
    calls.set(id, {
      take: (reply) => {
        const value = take(reply)
        if (value === undefined) return
        end()
        resolve(value)
      },
      fail: (error) => {
        end()
        reject(error)
      },
    })
    onCount()
    thread.send(request(id))
    if (signal?.aborted === true) stop()
    signal?.addEventListener('abort', stop, { once: true })
  })
