/** A run in a process of its own: its peak of memory is its own, and what kills it ends no other run. */
import { fork } from 'node:child_process'
import { on } from 'node:events'
import type { FinetuneEvent, FinetuneOptions } from '../../finetuning/runs/run.js'
import type { WorkerMessage } from '../../finetuning/runs/finetune.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { fromSentError } from '../../accelerated/errors/sentError.js'

/** What the process is told. */
export type ToCell = { readonly kind: 'run'; readonly options: FinetuneOptions } | { readonly kind: 'stop' }
/** What it tells. */
export type FromCell = WorkerMessage | { readonly kind: 'end' }

/**
 * As `finetune`, whose events these are. A process that is gone without a word, as of memory, is an error of this run alone; one that was told to
 * stop by somebody else ends as after `signal`. @throws as `finetune`
 */
export async function* childProcessRun(
  options: FinetuneOptions,
  { signal }: { readonly signal: AbortSignal },
): AsyncGenerator<FinetuneEvent, void> {
  const child = fork(new URL('./cellProcess.js', import.meta.url), {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const gone = new Promise<string>((resolve) => {
    child.once('exit', (code, name) => resolve(name ?? `exit code ${code}`))
    child.once('error', (error) => resolve(error.message))
  })
  const tell = (message: ToCell): void => void (child.connected && child.send(message))
  const stop = (): void => tell({ kind: 'stop' })
  signal.addEventListener('abort', stop)
  try {
    tell({ kind: 'run', options })
    if (signal.aborted) stop()
    for await (const [message] of on(child, 'message', { close: ['disconnect'] }) as AsyncIterable<readonly [FromCell]>) {
      if (message.kind === 'end') return
      if (message.kind === 'event') yield message.event
      else throw fromSentError(message.error)
    }
    const how = await gone
    throw inputError(
      'the run’s process',
      'one that ends by itself',
      `${how}${how === 'SIGKILL' ? ' (the system was short of memory?)' : ''}`,
    )
  } finally {
    signal.removeEventListener('abort', stop)
    if (child.connected) child.disconnect() // which ends it, if it has not
    await gone
  }
}
