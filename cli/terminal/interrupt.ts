/**
 * Ctrl-C: the first stops the run after the current step and saves; the second exits at once (files are whole or absent).
 * A lost terminal stops the run too, and never exits at once: the kernel and the shell both send its signal. One Ctrl-C can also arrive
 * twice: `timeout` and npm pass it on to a process whose group already received it.
 */
import { exitCodes } from './exitCodes.js'

const codes = { SIGINT: exitCodes.interrupted, SIGTERM: exitCodes.terminated, SIGHUP: exitCodes.hungUp } as const
type Signal = keyof typeof codes
/** Milliseconds within which a second signal repeats the first: nobody presses a key twice so fast. */
const echo = 100
const signals = Object.keys(codes) as readonly Signal[]

export type Interrupt = {
  readonly signal: AbortSignal
  /** the exit code once the run has stopped; null without a signal */
  readonly exitCode: () => number | null
  readonly release: () => void
}

/** Ends this process by the signal. Windows cannot send SIGHUP, and ends a process by any other signal at once. */
const endBy = (signal: Signal): void => void process.kill(process.pid, process.platform === 'win32' ? 'SIGKILL' : signal)

/** For work that saves nothing: a signal runs `cleanUp` and then ends the process, as without handlers. @returns removes the handlers */
export const onInterrupt = (cleanUp: () => void): (() => void) => {
  const handle = (signal: Signal): void => {
    cleanUp()
    release()
    endBy(signal)
  }
  const release = (): void => {
    for (const signal of signals) process.off(signal, handle)
  }
  for (const signal of signals) process.on(signal, handle)
  return release
}

/** @param onFirst informs the user of the first signal @param onExit restores the terminal before the process exits */
export const watchInterrupt = (onFirst: () => void, onExit: () => void): Interrupt => {
  const stop = new AbortController()
  let first: Signal | null = null
  let requested: number | null = null // when a person or a supervisor sent a signal
  const handle = (signal: Signal): void => {
    if (requested !== null && signal !== 'SIGHUP') {
      if (performance.now() - requested > echo) exit(signal)
      return
    }
    if (signal !== 'SIGHUP') requested = performance.now()
    if (first !== null) return
    first = signal
    onFirst()
    stop.abort()
  }
  /** By the signal itself: process.exit would end the worker within a call of ONNX Runtime, which aborts the process. */
  const exit = (signal: Signal): void => {
    onExit()
    release()
    endBy(signal)
  }
  const release = (): void => signals.forEach((signal) => process.off(signal, handle))
  signals.forEach((signal) => process.on(signal, handle))
  return { signal: stop.signal, exitCode: () => (first === null ? null : codes[first]), release }
}
