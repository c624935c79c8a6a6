#!/usr/bin/env node
/** The executable: what was typed goes to the program; whatever escapes it is one line too. */
import { exitCodes } from './exitCodes.js'
import { runProgram } from './program.js'
import { reportError } from './reportError.js'

const leave = (thrown: unknown): never => process.exit(reportError(thrown))
process.on('uncaughtException', leave)
process.on('unhandledRejection', leave)
// whoever reads may have enough (salora predict | head)
process.stdout.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? process.exit(exitCodes.success) : leave(error)))

await runProgram(process.argv.slice(2))
