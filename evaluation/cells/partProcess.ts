/** The child process of a worker that computes parts of one run: its memory is its own, and it dies with its parent. */
import { toSentError } from '../../accelerated/errors/sentError.js'
import { joinRun, type JoinEvent, type JoinOptions } from '../../finetuning/joinRun.js'
import type { ChildMessage } from './childMessages.js'

/** A message to the child process. */
export type ToPartProcess = { readonly kind: 'join'; readonly options: JoinOptions } | { readonly kind: 'stop' }
/** A message from it. */
export type FromPartProcess = ChildMessage<JoinEvent>

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())
// SIGKILL and not process.exit, which would wait for a call of ONNX Runtime
const die = (): void => void process.kill(process.pid, 'SIGKILL')
process.on('disconnect', die)

const send = (message: FromPartProcess): Promise<void> =>
  new Promise((resolve) => process.send?.(message, undefined, undefined, () => resolve()))

const join = async (options: JoinOptions): Promise<void> => {
  let last: FromPartProcess = { kind: 'end' }
  try {
    await joinRun(options, { signal: stop.signal, onEvent: (event) => void send({ kind: 'event', event }) })
  } catch (thrown) {
    last = { kind: 'error', error: toSentError(thrown) }
  }
  process.off('disconnect', die)
  await send(last)
  if (process.connected) process.disconnect()
}

process.on('message', (message: ToPartProcess) => (message.kind === 'join' ? void join(message.options) : stop.abort()))
