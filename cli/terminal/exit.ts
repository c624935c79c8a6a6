/** How the program ends: its exit codes, and what a standard stream that fails does. */
import { inputError, reason } from '../../accelerated/errors/inputError.js'

/** Exit codes of every command. After a signal it is 128 + the signal's number, as in shells: 130 after Ctrl-C. */
export const exitCodes = { success: 0, failure: 1, wrongUsage: 2, hungUp: 129, interrupted: 130, terminated: 143 } as const

/** Standard output and standard error fail once their reader is gone or their disk is full. @param exitAfter reports an error and ends the program */
export const watchStandardStreams = (exitAfter: (thrown: unknown) => unknown): void => {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // the reader stopped (salora predict | head; Windows reports EOF) or the terminal is gone: nobody can read a message
    const isGone = ['EPIPE', 'EOF'].includes(error.code ?? '') || (error.code === 'EIO' && process.stdout.isTTY === true)
    if (isGone) process.exit(process.exitCode ?? exitCodes.success)
    exitAfter(inputError('standard output', 'to write to it', reason(error)))
  })
  // only progress and messages are lost: work continues, and the exit code still reports the result
  process.stderr.on('error', () => undefined)
}
