/** The program: finds the command that was typed, loads it, runs it, and sets the exit code. */
import { describeLoadingError, LoadingError } from '../accelerated/errors/loadingError.js'
import { nearest } from '../accelerated/errors/nearest.js'
import { UsageError, usageError } from '../finetuning/commandLine/usageError.js'
import { versions } from '../finetuning/runs/versions.js'
import { commandGroups, type CommandEntry } from './commandGroups.js'
import { groupHelp, programHelp } from './programHelp.js'
import { exitCodes } from './terminal/exitCodes.js'

const entries: ReadonlyArray<CommandEntry> = commandGroups.flatMap(({ commands }) => commands)

/** Runs the command line after `salora`, and sets process.exitCode. */
export const runProgram = async (args: ReadonlyArray<string>): Promise<void> => {
  try {
    process.exitCode = await execute(args)
  } catch (error) {
    process.exitCode = await reported(error)
  }
}

const execute = async (args: ReadonlyArray<string>): Promise<number> => {
  const entry = entries.find(({ name }) => name.split(' ').every((word, i) => word === args[i]))
  if (entry === undefined) return withoutCommand(args)
  return (await entry.load()).execute(args.slice(entry.name.split(' ').length))
}

/** --help and --version of the program itself, also as words. @throws UsageError for a command that does not exist */
const withoutCommand = async ([word, ...others]: ReadonlyArray<string>): Promise<number> => {
  const print = (text: string): number => {
    process.stdout.write(text)
    return exitCodes.success
  }
  if (word === undefined) {
    process.stderr.write(programHelp())
    return exitCodes.wrongUsage
  }
  if (word === 'help' && others.length > 0) return execute([...others, '--help'])
  if (['-h', '--help', '--help-all', 'help'].includes(word)) return print(programHelp())
  if (['-V', '--version', 'version'].includes(word)) return print(`${versions['salora'] ?? ''}\n`)
  if (word.startsWith('-')) throw new UsageError(`${word}: unknown option (see salora --help)`)
  const group = entries.filter(({ name }) => name.startsWith(`${word} `))
  if (group.length === 0) throw await unknownCommand(word)
  if (others.some((other) => ['-h', '--help', '--help-all'].includes(other))) return print(groupHelp(word, group))
  const [subcommand] = others
  const names = group.map(({ name }) => name.slice(word.length + 1)).join(' or ')
  throw usageError(`salora ${word}`, `${names} (see salora ${word} --help)`, subcommand === undefined ? 'none' : JSON.stringify(subcommand))
}

/** The name that others give to a command, or the nearest of ours. */
const unknownCommand = async (word: string): Promise<UsageError> => {
  const { otherCommand } = await import('./options/otherCommands.js')
  const meant = otherCommand(word)
  const near = nearest(
    word,
    entries.map(({ name }) => name),
  )
  const remedy = meant !== null ? `use \`salora ${meant}\`` : near !== null ? `did you mean \`${near}\`?` : 'see `salora --help`'
  return new UsageError(`Unknown command \`${word}\` (${remedy})`)
}

/** One line on standard error → the exit code. The words for errors are loaded only when there is one. */
export const reported = async (thrown: unknown): Promise<number> => {
  const error = describeLoadingError(thrown)
  try {
    if (!(error instanceof LoadingError)) return (await import('./terminal/reportError.js')).reportError(error)
    process.stderr.write(`${error.message}\n`)
    return exitCodes.failure
  } catch (failed) {
    const unloaded = describeLoadingError(failed)
    if (failed === error || !(unloaded instanceof LoadingError)) throw unloaded
    return reported(unloaded)
  }
}
