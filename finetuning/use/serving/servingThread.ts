/** Starts the thread that answers for runs, so that the caller's thread stays free. */
import { Worker } from 'node:worker_threads'
import '../../../accelerated/engines/loadOnnxRuntime.js' // turns its telemetry off; the worker thread cannot
import { callCount, threadOptions, waitUntilIdle } from '../../../accelerated/engines/nativeCallGuard.js'
import type { Reply, Request, ServingData, ServingOptions } from './protocol.js'

export type ServingThread = {
  readonly send: (request: Request) => void
  /** Whether the process waits for the thread. One that only waits for calls must not keep a program alive. */
  readonly hold: (holds: boolean) => void
  /** Ends the thread between two calls of ONNX Runtime. */
  readonly end: () => Promise<void>
}

export type ThreadListeners = {
  readonly onReply: (reply: Reply) => void
  /** The thread is gone. @param error why, if it did not end by itself */
  readonly onExit: (error: Error | null) => void
}

export const startServingThread = (options: ServingOptions, { onReply, onExit }: ThreadListeners): ServingThread => {
  const calls = callCount()
  const worker = new Worker(new URL('./servingWorker.js', import.meta.url), {
    workerData: { options, calls } satisfies ServingData,
    ...threadOptions(),
  })
  let [ended, error] = [false, null as Error | null]
  worker.on('message', onReply)
  worker.on('error', (thrown: Error) => {
    error = thrown
  })
  worker.on('exit', () => {
    ended = true
    onExit(error)
  })
  return {
    send: (request) => worker.postMessage(request),
    hold: (holds) => (holds ? worker.ref() : worker.unref()),
    end: async () => {
      if (await waitUntilIdle(calls, () => !ended)) await worker.terminate()
    },
  }
}
