/** The worker thread of finetune.ts. */
import { parentPort, workerData } from 'node:worker_threads'
import { systemCode, systemMistake } from '../../accelerated/files/systemError.js'
import { hearDownloads } from '../../accelerated/files/hub/downloadLines.js'
import { countCalls } from '../../accelerated/runtime/nativeCall.js'
import type { WorkerData, WorkerMessage } from './finetune.js'
import { isExpected } from '../expectedErrors.js'
import { loaded, loadWidest } from '../loading.js'

const send = (message: WorkerMessage): void => parentPort?.postMessage(message)
const { options, calls } = workerData as WorkerData
countCalls(calls)
hearDownloads((what) => send({ kind: 'event', event: { kind: 'preparing', what } }))
const stop = new AbortController()
parentPort?.on('message', () => stop.abort())

try {
  await loadWidest()
  const { finetuneJob } = await loaded(import('./finetuneJob.js'))
  for await (const event of finetuneJob(options, stop.signal)) send({ kind: 'event', event })
} catch (thrown) {
  const error = systemCode(thrown) === null ? thrown : systemMistake(options.output, "to write the run's files", thrown)
  const { message, stack } = error instanceof Error ? error : new Error(String(error))
  send({ kind: 'error', message, stack, expected: isExpected(error) })
} finally {
  parentPort?.close()
}
