#!/usr/bin/env node
/** The executable: what was typed goes to the program, and whatever escapes it is one line too, a program that does not load included. */
import { lazyImport } from '../accelerated/errors/lazyImport.js'
import { exitCodes } from './terminal/exitCodes.js'
import { watchStandardStreams } from './terminal/standardStreams.js'

const program = lazyImport(import('./program.js'))

const unloaded = (thrown: unknown): number => {
  process.stderr.write(`${thrown instanceof Error ? thrown.message : String(thrown)}\n`)
  return exitCodes.failure
}
const leave = async (thrown: unknown): Promise<never> => process.exit(await program.then(({ reported }) => reported(thrown), unloaded))
process.on('uncaughtException', leave)
process.on('unhandledRejection', leave)
watchStandardStreams(leave)

await program.then(
  ({ runProgram }) => runProgram(process.argv.slice(2)),
  (thrown) => {
    process.exitCode = unloaded(thrown)
  },
)
