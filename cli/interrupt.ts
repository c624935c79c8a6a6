/** Ctrl-C: the first asks the run to stop after the step at hand and save; the second leaves at once (files are whole or absent). */
import { exitCodes } from './exitCodes.js'

type Signal = 'SIGINT' | 'SIGTERM'

export type Interrupt = {
  readonly signal: AbortSignal
  /** what to exit with once the run has stopped; null where no signal came */
  readonly exitCode: () => number | null
  readonly release: () => void
}

/** @param say shows the user that the first signal came @param leaving restores the terminal before the process dies */
export const watchInterrupt = (say: () => void, leaving: () => void): Interrupt => {
  const stop = new AbortController()
  let code: number | null = null
  const handle = (signal: Signal): void => {
    if (code !== null) {
      leave(signal)
      return
    }
    code = signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated
    say()
    stop.abort()
  }
  /** By the signal itself, as without handlers: process.exit would end the worker in the middle of ONNX Runtime's call, which aborts. */
  const leave = (signal: Signal): void => {
    leaving()
    release()
    process.kill(process.pid, signal)
  }
  const release = (): void => {
    process.off('SIGINT', handle)
    process.off('SIGTERM', handle)
  }
  process.on('SIGINT', handle)
  process.on('SIGTERM', handle)
  return { signal: stop.signal, exitCode: () => code, release }
}
