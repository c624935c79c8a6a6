/**
 * Ctrl-C: the first stops the run after the current step and saves; the second exits at once (files are whole or absent).
 * A lost terminal stops the run too, and never exits at once: the kernel and the shell both send its signal. One Ctrl-C can also arrive
 * twice: `timeout` and npm pass it on to a process whose group already received it.
 */
import { exitCodes } from './exit.js'
import { spawn } from 'node:child_process'
import { printable } from './output.js'

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

// One line after a process that could not say why it ended: it was killed, or a file that it had mapped got shorter.
/** Reads until the pipe from this process closes, which only the end of this process does, and prints its argument. */
const script = 'read -r line; printf "%s\\n" "$1" >&2'

/**
 * Prints one line with a remedy to standard error if the process ends before the returned function is called, and not by `process.exit`.
 * A shell waits for that, because no handler runs in a process that is killed. Where there is no shell, nothing is printed.
 */
export const watchSuddenEnd = (where: string, remedy: string): (() => void) => {
  if (process.platform === 'win32') return () => undefined
  const line = `${where}: the process ended without a word: it was killed, ran out of memory, or a file of its model was changed. ${remedy}`
  // in a group of its own, which Ctrl-C does not reach
  const shell = spawn('sh', ['-c', script, 'sh', printable(line)], { stdio: ['pipe', 'ignore', 'inherit'], detached: true })
  for (const source of [shell, shell.stdin]) source.on('error', () => undefined)
  shell.unref()
  const end = (): void => {
    process.removeListener('exit', end)
    shell.kill('SIGKILL')
  }
  process.once('exit', end)
  return end
}
