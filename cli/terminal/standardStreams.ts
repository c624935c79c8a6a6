/** Standard output and standard error as they may become: nobody reads them any more, or the disk that they go to is full. */
import { inputError, reason } from '../../accelerated/errors/inputError.js'
import { exitCodes } from './exitCodes.js'

/** @param leave ends the program with an error to report */
export const watchStandardStreams = (leave: (thrown: unknown) => unknown): void => {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // whoever reads has enough (salora predict | head), or the terminal is gone: there is nobody to tell
    const isGone = error.code === 'EPIPE' || (error.code === 'EIO' && process.stdout.isTTY === true)
    if (isGone) process.exit(process.exitCode ?? exitCodes.success)
    leave(inputError('standard output', 'to write to it', reason(error)))
  })
  // what is lost is progress and messages: no work ends for them, and the exit code still tells how it went
  process.stderr.on('error', () => undefined)
}
