/** Ctrl-C: the first asks the run to stop after the step at hand and save; the second leaves at once (files are whole or absent). */
import { exitCodes } from './exitCodes.js'

export type Interrupt = {
  readonly signal: AbortSignal
  /** what to exit with once the run has stopped; null where no signal came */
  readonly exitCode: () => number | null
  readonly release: () => void
}

export const watchInterrupt = (say: (line: string) => void): Interrupt => {
  const stop = new AbortController()
  let code: number | null = null
  const handler = (of: number) => (): void => {
    if (code !== null) process.exit(of)
    code = of
    say('stopping after this step and saving; once more leaves at once')
    stop.abort()
  }
  const [onInterrupt, onTerminate] = [handler(exitCodes.interrupted), handler(exitCodes.terminated)]
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onTerminate)
  return {
    signal: stop.signal,
    exitCode: () => code,
    release: () => {
      process.off('SIGINT', onInterrupt)
      process.off('SIGTERM', onTerminate)
    },
  }
}
