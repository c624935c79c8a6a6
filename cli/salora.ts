#!/usr/bin/env node
/** The executable: what was typed goes to the program; whatever escapes it is one line too. */
import { runProgram } from './program.js'
import { reportError } from './reportError.js'
import { watchStandardStreams } from './standardStreams.js'

const leave = (thrown: unknown): never => process.exit(reportError(thrown))
process.on('uncaughtException', leave)
process.on('unhandledRejection', leave)
watchStandardStreams(leave)

await runProgram(process.argv.slice(2))
