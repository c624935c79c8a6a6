/** The child process of one run, or of a worker's parts of one run. It stops like any run, and dies with its parent. */
import { toSentError } from '../../accelerated/errors/sentError.js'
import { finetune } from '../../finetuning/finetune.js'
import { joinRun } from '../../finetuning/joinRun.js'
import type { FromChild, ToChild } from './childProcess.js'

const stop = new AbortController()
// from a terminal, which signals its whole group, or from a board, which signals this process only
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())
// SIGKILL and not process.exit, which would end the run's thread during a call of ONNX Runtime
const die = (): void => void process.kill(process.pid, 'SIGKILL')
process.on('disconnect', die)

const send = (message: FromChild): Promise<void> => new Promise((resolve) => process.send?.(message, undefined, undefined, () => resolve()))

const work = async (message: Exclude<ToChild, { readonly kind: 'stop' }>): Promise<void> => {
  let last: FromChild = { kind: 'end' }
  const { signal } = stop
  try {
    if (message.kind === 'join') await joinRun(message.options, { signal, onEvent: (event) => void send({ kind: 'event', event }) })
    else for await (const event of finetune(message.options, { signal })) await send({ kind: 'event', event })
  } catch (thrown) {
    last = { kind: 'error', error: toSentError(thrown) }
  }
  process.off('disconnect', die) // now the process ends by itself, whichever side disconnects first
  await send(last)
  if (process.connected) process.disconnect()
}

process.on('message', (message: ToChild) => (message.kind === 'stop' ? stop.abort() : void work(message)))
