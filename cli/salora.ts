#!/usr/bin/env node
/** The executable: runs the program, and prints one line for an error that escapes it or keeps it from loading. */
import { describeLoadingError } from '../accelerated/errors/systemError.js'
import { exitCodes, watchStandardStreams } from './terminal/exit.js'

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
