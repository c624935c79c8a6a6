/**
 * Ctrl-C: the first asks the run to stop after the step at hand and save; the second leaves at once (files are whole or absent).
 * A terminal that is lost asks as much, and only that: its signal comes more than once, from the kernel and from the shell. One Ctrl-C, too,
 * can come twice: `timeout` and npm pass it on to a process that its own group has told already.
 */
import { exitCodes } from './exitCodes.js'

const codes = { SIGINT: exitCodes.interrupted, SIGTERM: exitCodes.terminated, SIGHUP: exitCodes.hungUp } as const
type Signal = keyof typeof codes
/** Milliseconds in which a second signal is the first one come again; nobody presses a key twice so fast. */
const echo = 100
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
  let meant: number | null = null // when a person or a supervisor asked
  const handle = (signal: Signal): void => {
    if (meant !== null && signal !== 'SIGHUP') {
      if (performance.now() - meant > echo) leave(signal)
      return
    }
    if (signal !== 'SIGHUP') meant = performance.now()
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
