/** The worker thread of servingThread.ts: answers for its runs until `release`. */
import { parentPort, workerData } from 'node:worker_threads'
import { onDownloadProgress } from '../../../accelerated/checkpoints/hub/hubDownload.js'
import { endThread } from '../../../accelerated/engines/endThread.js'
import { countCalls } from '../../../accelerated/engines/nativeCallGuard.js'
import { describeLoadingError } from '../../../accelerated/errors/systemError.js'
import { toSentError } from '../../../accelerated/errors/sentError.js'
import type { Reply, Request, ServingData } from './protocol.js'

const send = (message: Reply): void => parentPort?.postMessage(message)
const { options, calls } = workerData as ServingData
countCalls(calls)
onDownloadProgress((what) => send({ kind: 'preparing', what }))

try {
  const { serveThread } = await import('./serveThread.js')
  await serveThread(
    {
      send,
      receive: (listener) => void parentPort?.on('message', (message: Request) => listener(message)),
    },
    options,
  )
} catch (thrown) {
  send({ kind: 'refused', error: toSentError(describeLoadingError(thrown)) })
} finally {
  endThread()
}
