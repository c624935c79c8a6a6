/** The child process of one cell: receives the run's options and sends its events. It stops like any run, and dies with its parent. */
import { finetune } from '../../finetuning/finetune.js'
import { toSentError } from '../../accelerated/errors/sentError.js'
import type { ToCell, FromCell } from './childProcessRun.js'

const stop = new AbortController()
// from a terminal, which signals its whole group, or from a board, which signals this process only
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())
// SIGKILL and not process.exit, which would end the run's thread during a call of ONNX Runtime
const die = (): void => void process.kill(process.pid, 'SIGKILL')
process.on('disconnect', die)

const send = (message: FromCell): Promise<void> => new Promise((resolve) => process.send?.(message, undefined, undefined, () => resolve()))

const run = async ({ options }: Extract<ToCell, { readonly kind: 'run' }>): Promise<void> => {
  try {
    for await (const event of finetune(options, { signal: stop.signal })) await send({ kind: 'event', event })
    await finish({ kind: 'end' })
  } catch (thrown) {
    await finish({ kind: 'error', error: toSentError(thrown) })
  }
}

/** After the run the process ends by itself, whichever side disconnects first. */
const finish = async (last: FromCell): Promise<void> => {
  process.off('disconnect', die)
  await send(last)
  if (process.connected) process.disconnect()
}

process.on('message', (message: ToCell) => (message.kind === 'run' ? void run(message) : stop.abort()))
