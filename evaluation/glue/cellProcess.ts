/** The process of one cell: told what to run, it tells the run's events. It stops as any run does, and is gone when its maker is. */
import { finetune } from '../../finetuning/runs/finetune.js'
import { toSentError } from '../../accelerated/errors/sentError.js'
import type { ToCell, FromCell } from './childProcessRun.js'

const stop = new AbortController()
// of a terminal, which tells the whole group, or of a board, which tells this one alone
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())
/** Not by process.exit, which would end the run's thread in the middle of ONNX Runtime's call. */
const die = (): void => void process.kill(process.pid, 'SIGKILL')
process.on('disconnect', die)

const send = (message: FromCell): Promise<void> => new Promise((resolve) => process.send?.(message, undefined, undefined, () => resolve()))

const run = async ({ options }: Extract<ToCell, { readonly kind: 'run' }>): Promise<void> => {
  try {
    for await (const event of finetune(options, { signal: stop.signal })) await send({ kind: 'event', event })
    await over({ kind: 'end' })
  } catch (thrown) {
    await over({ kind: 'error', error: toSentError(thrown) })
  }
}
/** The run is: what is left ends by itself, whoever hangs up first. */
const over = async (last: FromCell): Promise<void> => {
  process.off('disconnect', die)
  await send(last)
  if (process.connected) process.disconnect()
}

process.on('message', (message: ToCell) => (message.kind === 'run' ? void run(message) : stop.abort()))
