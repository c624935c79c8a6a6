/** The worker thread of finetune.ts: runs the job and sends its events. */
import { parentPort, workerData } from 'node:worker_threads'
import { systemCode, systemInputError, describeLoadingError } from '../accelerated/errors/systemError.js'
import { onDownloadProgress } from '../accelerated/checkpoints/hub/hubDownload.js'
import { endThread } from '../accelerated/engines/endThread.js'
import { countCalls } from '../accelerated/engines/nativeCallGuard.js'
import type { WorkerData, WorkerMessage } from './finetune.js'
import { onTokenizingProgress } from './tasks/exampleTokenizer.js'
import { toSentError } from '../accelerated/errors/sentError.js'

const send = (message: WorkerMessage): void => parentPort?.postMessage(message)
const { options, calls } = workerData as WorkerData
countCalls(calls)
const preparing = (what: string): void => send({ kind: 'event', event: { kind: 'preparing', what } })
onDownloadProgress(preparing)
onTokenizingProgress(preparing)
const stop = new AbortController()
parentPort?.on('message', () => stop.abort())

try {
  const { finetuneJob } = await import('./nodeMachine.js')
  for await (const event of finetuneJob(options, stop.signal)) send({ kind: 'event', event })
} catch (thrown) {
  const described = describeLoadingError(thrown)
  const error = systemCode(described) === null ? described : systemInputError(options.output, "to write the run's files", described)
  send({ kind: 'error', error: toSentError(error) })
} finally {
  endThread()
}
