/**
 * Ctrl-C: the first asks the run to stop after the step at hand and save; the second leaves at once (files are whole or absent).
 * A terminal that is lost asks as much, and only that: its signal comes more than once, from the kernel and from the shell.
 */
import { exitCodes } from './exitCodes.js'

const codes = { SIGINT: exitCodes.interrupted, SIGTERM: exitCodes.terminated, SIGHUP: exitCodes.hungUp } as const
type Signal = keyof typeof codes
const signals = Object.keys(codes) as ReadonlyArray<Signal>

export type Interrupt = {
  readonly signal: AbortSignal
  /** what to exit with once the run has stopped; null where no signal came */
  readonly exitCode: () => number | null
  readonly release: () => void
}

/** Ctrl-C while nothing is to be saved: `cleanUp`, then the end by the signal itself, as without handlers. → gives the signals back */
export const onInterrupt = (cleanUp: () => void): (() => void) => {
  const handle = (signal: Signal): void => {
    cleanUp()
    release()
    process.kill(process.pid, signal)
  }
  const release = (): void => {
    for (const signal of signals) process.off(signal, handle)
  }
  for (const signal of signals) process.on(signal, handle)
  return release
}

/** @param say shows the user that the first signal came @param leaving restores the terminal before the process dies */
export const watchInterrupt = (say: () => void, leaving: () => void): Interrupt => {
  const stop = new AbortController()
  let first: Signal | null = null
  let meant = false // a person or a supervisor asked already
  const handle = (signal: Signal): void => {
    if (meant && signal !== 'SIGHUP') {
      leave(signal)
      return
    }
    meant ||= signal !== 'SIGHUP'
    if (first !== null) return
    first = signal
    say()
    stop.abort()
  }
  /** By the signal itself, as without handlers: process.exit would end the worker in the middle of ONNX Runtime's call, which aborts. */
  const leave = (signal: Signal): void => {
    leaving()
    release()
    process.kill(process.pid, signal)
  }
  const release = (): void => signals.forEach((signal) => process.off(signal, handle))
  signals.forEach((signal) => process.on(signal, handle))
  return { signal: stop.signal, exitCode: () => (first === null ? null : codes[first]), release }
}
