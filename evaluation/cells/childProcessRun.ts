/** Runs a fine-tuning in a child process: its peak memory is its own, and a crash ends no other run. */
import type { FinetuneEvent, RunOptions } from '../../finetuning/runs/run.js'
import { childMessages, type ChildMessage } from './childMessages.js'

/** A message to the child process. */
export type ToCell = { readonly kind: 'run'; readonly options: RunOptions } | { readonly kind: 'stop' }
/** A message from it. */
export type FromCell = ChildMessage<FinetuneEvent>

/**
 * Yields the events of `finetune`. If somebody else stops the process, the run ends as if `signal` had aborted.
 * @throws what the run throws; InputError if the process dies without a message, for example for lack of memory
 */
export const childProcessRun = (options: RunOptions, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<FinetuneEvent, void> =>
  childMessages(new URL('./cellProcess.js', import.meta.url), { kind: 'run', options } satisfies ToCell, {
    signal,
    what: "the run's process",
  })
