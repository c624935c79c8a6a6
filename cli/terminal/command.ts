/** What every command has in common: --json, --quiet, an example in its help, one line for each mistake, an exit code. */
import type { Command } from 'commander'
import { onDownloadProgress } from '../../accelerated/checkpoints/hub/downloadProgress.js'
import type { Values } from '../options/flagValues.js'
import { reportError } from './reportError.js'
import { openTerminal, type Terminal } from './output.js'

export type Action = (given: Values, terminal: Terminal) => Promise<number>

/** For commands that may need a model from the hub. */
export const withOffline = (command: Command): Command =>
  command.option('--offline', 'ask nothing of the network: a model on the hub must be in the cache (as HF_HUB_OFFLINE=1)')

/** Ends a command's declaration: `run` returns the exit code, and whatever it throws becomes one line on standard error. */
export const withOutput = (command: Command, examples: ReadonlyArray<string>, run: Action): Command =>
  command
    .optionsGroup('Output:')
    .option('--json', 'one JSON document on standard output, everything else on standard error')
    .option('--quiet', 'nothing on standard error but warnings and mistakes')
    .helpOption('--help', 'this text')
    .addHelpText('after', `\n${examples.length === 1 ? 'Example' : 'Examples'}:\n${examples.map((example) => `  ${example}`).join('\n')}\n`)
    .action(async () => {
      const given: Values = command.opts() // a command with arguments of its own has them in command.args
      try {
        if (given['offline'] === true) process.env['HF_HUB_OFFLINE'] = '1' // threads started later inherit it
        const terminal = openTerminal(given)
        onDownloadProgress((line) => terminal.note(`${line} …`))
        process.exitCode = await run(given, terminal)
      } catch (error) {
        process.exitCode = reportError(error)
      }
    })
