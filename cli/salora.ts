#!/usr/bin/env node
/** The command line: what was typed, to the command that does it. */
import { Command, CommanderError } from 'commander'
import { versions } from '../evaluation/versions.js'
import { addBench } from './commands/bench.js'
import { addDoctor } from './commands/doctor.js'
import { addEvaluate } from './commands/evaluate.js'
import { addPredict } from './commands/predict.js'
import { addQuickstart } from './commands/quickstart.js'
import { addTrain } from './commands/train.js'
import { addVerify } from './commands/verify.js'
import { exitCodes } from './exitCodes.js'
import { reportError } from './reportError.js'

const leave = (thrown: unknown): never => process.exit(reportError(thrown))
process.on('uncaughtException', leave)
process.on('unhandledRejection', leave)
// whoever reads may have enough (salora predict | head)
process.stdout.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? process.exit(exitCodes.success) : leave(error)))

const program = new Command('salora')
  .description('Structure-aware low-rank adaptation: fine-tunes BERT and RoBERTa models with an adaptive rank and an exact budget of parameters.')
  .version(versions['salora'] ?? '', '--version', 'the version')
  .helpOption('--help', 'this text')
  .helpCommand(false)
  .configureOutput({ outputError: () => undefined })
  .configureHelp({ showGlobalOptions: false })
  .exitOverride()
  .addHelpText('after', '\nEach command has its own --help with an example. Exit codes: 0 success, 1 failure, 2 wrong usage, 130 stopped by Ctrl-C.\n')

for (const add of [addQuickstart, addTrain, addEvaluate, addPredict, addVerify, addDoctor, addBench]) add(program)

try {
  await program.parseAsync()
} catch (error) {
  const isShown = error instanceof CommanderError && ['commander.helpDisplayed', 'commander.version'].includes(error.code)
  if (error instanceof CommanderError && error.code === 'commander.help') process.exitCode = exitCodes.wrongUsage
  else if (!isShown) process.exitCode = reportError(error)
}
