/** Runs a fine-tuning in a child process: its peak memory is its own, and a crash ends no other run. */
import { fork } from 'node:child_process'
import { on } from 'node:events'
import { inputError } from '../../accelerated/errors/inputError.js'
import { fromSentError } from '../../accelerated/errors/sentError.js'
import type { FinetuneEvent, RunOptions } from '../../finetuning/runs/run.js'
import type { WorkerMessage } from '../../finetuning/runs/finetune.js'

/** A message to the child process. */
export type ToCell = { readonly kind: 'run'; readonly options: RunOptions } | { readonly kind: 'stop' }
/** A message from it. */
export type FromCell = WorkerMessage | { readonly kind: 'end' }

/**
 * Yields the events of `finetune`. If somebody else stops the process, the run ends as if `signal` had aborted.
 * @throws what the run throws; InputError if the process dies without a message, for example for lack of memory
 */
export async function* childProcessRun(
  options: RunOptions,
  { signal }: { readonly signal: AbortSignal },
): AsyncGenerator<FinetuneEvent, void> {
  const child = fork(new URL('./cellProcess.js', import.meta.url), {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const exit = new Promise<string>((resolve) => {
    child.once('exit', (code, signalName) => resolve(signalName ?? `exit code ${code}`))
    child.once('error', (error) => resolve(error.message))
  })
  const send = (message: ToCell): void => void (child.connected && child.send(message))
  const stop = (): void => send({ kind: 'stop' })
  signal.addEventListener('abort', stop)
  try {
    send({ kind: 'run', options })
    if (signal.aborted) stop()
    for await (const [message] of on(child, 'message', { close: ['disconnect'] }) as AsyncIterable<readonly [FromCell]>) {
      if (message.kind === 'end') return
      if (message.kind === 'event') yield message.event
      else throw fromSentError(message.error)
    }
    const ending = await exit
    throw inputError("the run's process", 'a process that ends by itself', `${ending}${ending === 'SIGKILL' ? ' (out of memory?)' : ''}`)
  } finally {
    signal.removeEventListener('abort', stop)
    if (child.connected) child.disconnect() // this ends a child that still runs
    await exit
  }
}
