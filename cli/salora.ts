#!/usr/bin/env node
/** The executable: runs the program, and prints one line for an error that escapes it or keeps it from loading. */
import { describeLoadingError } from '../accelerated/errors/systemError.js'
import { exitCodes } from './terminal/exitCodes.js'
import { inputError, reason } from '../accelerated/errors/inputError.js'

// Standard output and standard error that fail: their reader is gone, or their disk is full.
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

const program = import('./program.js')

const unloaded = (thrown: unknown): number => {
  const error = describeLoadingError(thrown)
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  return exitCodes.failure
}
const exitAfter = async (thrown: unknown): Promise<never> => process.exit(await program.then(({ reported }) => reported(thrown), unloaded))
let leaving: Promise<never> | null = null
/** Only the first error is printed: a full disk fails every write. */
const leave = (thrown: unknown): Promise<never> => (leaving ??= exitAfter(thrown))
process.on('uncaughtException', leave)
process.on('unhandledRejection', leave)
watchStandardStreams(leave)

await program.then(
  ({ runProgram }) => runProgram(process.argv.slice(2)),
  (thrown) => {
    process.exitCode = unloaded(thrown)
  },
)
