/** Standard output and standard error that fail: their reader is gone, or their disk is full. */
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import { exitCodes } from './exitCodes.js'

/** @param exitAfter reports an error and ends the program */
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
