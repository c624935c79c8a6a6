/** The program: the commands in the order of --help, and what ends each with an exit code. */
import { Command, CommanderError } from 'commander'
import { versions } from '../evaluation/versions.js'
import { addBench } from './commands/bench.js'
import { addDoctor } from './commands/doctor.js'
import { addEvaluate } from './commands/evaluate.js'
import { addExport } from './commands/export.js'
import { addPredict } from './commands/predict.js'
import { addQuickstart } from './commands/quickstart.js'
import { addRankPattern } from './commands/rankPattern.js'
import { addTrain } from './commands/train.js'
import { addVerify } from './commands/verify.js'
import { exitCodes } from './exitCodes.js'
import { reportError } from './reportError.js'

const program = (): Command => {
  const whole = new Command('salora')
    .description(
      'Structure-aware low-rank adaptation: fine-tunes BERT and RoBERTa models with an adaptive rank and an exact budget of parameters.',
    )
    .version(versions['salora'] ?? '', '--version', 'the version')
    .helpOption('--help', 'this text')
    .helpCommand(false)
    .configureOutput({ outputError: () => undefined })
    .configureHelp({ showGlobalOptions: false })
    .exitOverride()
    .addHelpText(
      'after',
      '\nEach command has its own --help with an example. Exit codes: 0 success, 1 failure, 2 wrong usage, 130 stopped by Ctrl-C.\n',
    )

  for (const add of [addQuickstart, addTrain, addEvaluate, addPredict, addExport, addRankPattern, addVerify, addDoctor, addBench])
    add(whole)
  return whole
}

/** Runs what was typed after `salora`; sets process.exitCode. */
export const runProgram = async (args: ReadonlyArray<string>): Promise<void> => {
  try {
    await program().parseAsync(args, { from: 'user' })
  } catch (error) {
    const isShown = error instanceof CommanderError && ['commander.helpDisplayed', 'commander.version'].includes(error.code)
    if (error instanceof CommanderError && error.code === 'commander.help') process.exitCode = exitCodes.wrongUsage
    else if (!isShown) process.exitCode = reportError(error)
  }
}
