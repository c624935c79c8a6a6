/**
 * Fine-tuning in one call. A worker thread trains, so this thread stays free for progress, the board and Ctrl-C.
 * recipe.ts says what a run is. What opens a finished run's adapter is in use/.
 */
import { isMainThread, Worker } from 'node:worker_threads'
import { releaseThread } from '../accelerated/storage/folderLock.js'
import { callCount, threadOptions, waitUntilIdle, type CallCount } from '../accelerated/engines/nativeCallGuard.js'
import { useTf32 } from '../accelerated/engines/loadOnnxRuntime.js' // it also turns the telemetry off; the worker thread cannot
import { checkTaskOptions } from './tasks/taskFlags.js'
import { checkFinetuneOptions, type FinetuneEvent, type FinetuneOptions } from './run/run.js'
import { reportRun } from './run/tracking/reportRun.js'
import { fromSentError, toSentError, type SentError } from '../accelerated/errors/sentError.js'
import { asyncQueue } from './run/asyncQueue.js'

/** The input of the worker thread. */
export type WorkerData = { readonly options: FinetuneOptions; readonly calls: CallCount }

/** A message of the worker: an event, or the error that ended the run. */
export type WorkerMessage =
  | { readonly kind: 'event'; readonly event: FinetuneEvent }
  | { readonly kind: 'error'; readonly error: SentError }

/** Milliseconds that the worker has to stop by itself. */
const grace = 100

/**
 * Runs a fine-tuning job and yields its events; the last is `result`. Aborting the signal ends the run after the current step, with a checkpoint and
 * an adapter. Before `ready` it ends at once, without a result or any file. Leaving the loop early kills the run.
 * @throws InputError, SettingsError, DeviceError or TrainingError, whose message is one line for the user; any other error is a defect
 */
export async function* finetune(
  options: FinetuneOptions,
  more: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<FinetuneEvent, void> {
  checkFinetuneOptions(options)
  checkTaskOptions(options.task)
  const { device = 'auto' } = options.settings ?? {}
  if (isMainThread && /^(auto$|cuda)/.test(device)) useTf32(device.endsWith(':tf32')) // the thread of the run only checks
  yield* reportRun(options, trainInThread(options, more)) // in this thread: a training step blocks the worker's, and its timeouts
}

async function* trainInThread(
  options: FinetuneOptions,
  { signal }: { readonly signal?: AbortSignal },
): AsyncGenerator<FinetuneEvent, void> {
  let [ready, ended] = [false, false]
  const calls = callCount()
  const worker = new Worker(new URL('./finetuneWorker.js', import.meta.url), {
    workerData: { options, calls } satisfies WorkerData,
    ...threadOptions(),
  })
  const { threadId } = worker // undefined once the thread has ended
  const messages = asyncQueue<WorkerMessage>()
  const put = (message: WorkerMessage): void => {
    if (message.kind === 'event' && message.event.kind === 'ready') ready = true
    messages.push(message)
  }
  worker.on('message', put)
  worker.on('error', (error: Error) => put({ kind: 'error', error: toSentError(error) }))
  worker.on('exit', () => {
    ended = true
    messages.close()
  })
  /** Terminates the worker between two calls of ONNX Runtime, unless `isNeeded` is false by then. */
  const end = async (isNeeded: () => boolean): Promise<void> => {
    if (await waitUntilIdle(calls, () => !ended && isNeeded())) await worker.terminate()
  }
  const abort = (): void => {
    worker.postMessage('abort')
    // a worker that reads or tokenizes handles no message; a download that does handle it cleans up first
    setTimeout(() => void end(() => !ready), grace)
  }
  if (signal?.aborted === true) abort()
  signal?.addEventListener('abort', abort)
  try {
    for await (const message of messages) {
      if (message.kind === 'event') yield message.event
      else throw fromSentError(message.error)
    }
  } finally {
    signal?.removeEventListener('abort', abort)
    await end(() => true)
    await releaseThread(options.output, threadId)
  }
}
