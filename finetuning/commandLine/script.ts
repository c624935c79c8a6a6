/** The command line of a script that is no command of `salora`: its values, or its --help, or one line that says what is wrong. */
import { InputError } from '../../accelerated/errors/inputError.js'
import { SettingsError, isExpected } from '../../accelerated/errors/expectedErrors.js'
import { describeSystemError } from '../../accelerated/errors/systemError.js'
import type { Definition, Values } from './definition.js'
import type { FlagGroups } from './flag.js'
import { helpText } from './help.js'
import { parseArguments } from './parse.js'
import { lineInFlags } from './optionNames.js'
import { UsageError } from './usageError.js'

/** Prints one line and ends the process: with 2 for wrong usage, with 1 for the rest. A defect is printed with its stack. */
const exitWith = (thrown: unknown): never => {
  const error = describeSystemError(thrown)
  const isUsage = error instanceof UsageError || error instanceof SettingsError || (error instanceof InputError && error.kind === 'usage')
  const stack = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  process.stderr.write(`${isUsage || isExpected(error) ? lineInFlags(error) : stack}\n`)
  process.exit(isUsage ? 2 : 1)
}

/** The values of process.argv. Errors that the script throws later also end the process with one line. `definition.name`: `node dist/evaluation/…` */
export const scriptValues = <const G extends FlagGroups>(definition: Definition<G>): Values<G> => {
  process.on('uncaughtException', exitWith)
  try {
    const parsed = parseArguments(definition, process.argv.slice(2))
    if (parsed.kind === 'values') return parsed.values
    process.stdout.write(helpText(definition, { width: Math.min(process.stdout.columns ?? 100, 100), all: true }))
    return process.exit(0)
  } catch (thrown) {
    return exitWith(thrown)
  }
}
