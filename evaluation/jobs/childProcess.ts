/** Works in a child process: one run, or a worker's parts of one run. Its memory is its own, a crash ends nothing else, and it dies with this process. */
import { fork } from 'node:child_process'
import { on } from 'node:events'
import { inputError } from '../../accelerated/errors/inputError.js'
import { fromSentError, type SentError } from '../../accelerated/errors/sentError.js'
import type { JoinEvent, JoinOptions } from '../../finetuning/joinRun.js'
import type { FinetuneEvent, RunOptions } from '../../finetuning/run/run.js'

/** A message to the child process. */
export type ToChild =
  | { readonly kind: 'run'; readonly options: RunOptions }
  | { readonly kind: 'join'; readonly options: JoinOptions }
  | { readonly kind: 'stop' }

/** A message from it: events, and how it ended. */
export type FromChild =
  | { readonly kind: 'event'; readonly event: FinetuneEvent | JoinEvent }
  | { readonly kind: 'error'; readonly error: SentError }
  | { readonly kind: 'end' }

type Watch = { readonly signal: AbortSignal }

/**
 * Yields the events of `finetune`. If somebody else stops the process, the run ends as if `signal` had aborted.
 * @throws what the run throws; InputError if the process dies without a message, for example for lack of memory
 */
export const childProcessRun = (options: RunOptions, { signal }: Watch): AsyncGenerator<FinetuneEvent, void> =>
  childMessages({ kind: 'run', options }, signal, "the run's process")

/** Yields the events of `joinRun`. @throws as `childProcessRun` */
export const childProcessJoin = (options: JoinOptions, { signal }: Watch): AsyncGenerator<JoinEvent, void> =>
  childMessages({ kind: 'join', options }, signal, `run ${options.id}`)

const program = new URL('./jobProcess.js', import.meta.url)

/** An aborted signal asks the process to stop. @param what names the process in messages */
async function* childMessages<E>(first: ToChild, signal: AbortSignal, what: string): AsyncGenerator<E, void> {
  const child = fork(program, { serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const exit = new Promise<string>((resolve) => {
    child.once('exit', (code, signalName) => resolve(signalName ?? `exit code ${code}`))
    child.once('error', (error) => resolve(error.message))
  })
  const send = (message: ToChild): void => void (child.connected && child.send(message))
  const stop = (): void => send({ kind: 'stop' })
  signal.addEventListener('abort', stop)
  try {
    send(first)
    if (signal.aborted) stop()
    for await (const [message] of on(child, 'message', { close: ['disconnect'] }) as AsyncIterable<readonly [FromChild]>) {
      if (message.kind === 'end') return
      if (message.kind === 'event') yield message.event as E
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
