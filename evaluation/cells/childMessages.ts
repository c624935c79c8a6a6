/** A child process that works and sends messages: the one of a cell's run, or the one of a worker's parts. It dies with this process. */
import { fork } from 'node:child_process'
import { on } from 'node:events'
import { inputError } from '../../accelerated/errors/inputError.js'
import { fromSentError, type SentError } from '../../accelerated/errors/sentError.js'

/** What this process sends: events, and how it ended. */
export type ChildMessage<E> =
  | { readonly kind: 'event'; readonly event: E }
  | { readonly kind: 'error'; readonly error: SentError }
  | { readonly kind: 'end' }

/**
 * Yields the events of the process. An aborted signal asks it to stop.
 * @param first the message that starts its work @param what the process in messages
 * @throws what the process throws; InputError if it dies without a message, for example for lack of memory
 */
export async function* childMessages<E>(
  file: URL,
  first: object,
  { signal, what }: { readonly signal: AbortSignal; readonly what: string },
): AsyncGenerator<E, void> {
  const child = fork(file, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const exit = new Promise<string>((resolve) => {
    child.once('exit', (code, signalName) => resolve(signalName ?? `exit code ${code}`))
    child.once('error', (error) => resolve(error.message))
  })
  const send = (message: object): void => void (child.connected && child.send(message))
  const stop = (): void => send({ kind: 'stop' })
  signal.addEventListener('abort', stop)
  try {
    send(first)
    if (signal.aborted) stop()
    for await (const [message] of on(child, 'message', { close: ['disconnect'] }) as AsyncIterable<readonly [ChildMessage<E>]>) {
      if (message.kind === 'end') return
      if (message.kind === 'event') yield message.event
      else throw fromSentError(message.error)
    }
    const ending = await exit
    throw inputError(what, 'a process that ends by itself', `${ending}${ending === 'SIGKILL' ? ' (out of memory?)' : ''}`)
  } finally {
    signal.removeEventListener('abort', stop)
    if (child.connected) child.disconnect() // this ends a child that still runs
    await exit
  }
}
