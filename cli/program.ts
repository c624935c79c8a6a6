/** The program: finds the command that was typed, loads it, runs it, and sets the exit code. */
import { lazyImport, LoadingError, preloadZod } from '../accelerated/errors/lazyImport.js'
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
  await preloadZod()
  return (await lazyImport(entry.load())).execute(args.slice(entry.name.split(' ').length))
}

/** --help and --version of the program itself. @throws UsageError for a command that does not exist */
const withoutCommand = ([word, ...others]: ReadonlyArray<string>): number => {
  const print = (text: string): number => {
    process.stdout.write(text)
    return exitCodes.success
  }
  if (word === undefined) {
    process.stderr.write(programHelp())
    return exitCodes.wrongUsage
  }
  if (['-h', '--help', '--help-all'].includes(word)) return print(programHelp())
  if (['-V', '--version'].includes(word)) return print(`${versions['salora'] ?? ''}\n`)
  if (word.startsWith('-')) throw new UsageError(`${word}: unknown option (see salora --help)`)
  const group = entries.filter(({ name }) => name.startsWith(`${word} `))
  if (group.length === 0) throw unknownCommand(word)
  if (others.some((other) => ['-h', '--help', '--help-all'].includes(other))) return print(groupHelp(word, group))
  const [subcommand] = others
  const names = group.map(({ name }) => name.slice(word.length + 1)).join(' or ')
  throw usageError(`salora ${word}`, `${names} (see salora ${word} --help)`, subcommand === undefined ? 'none' : JSON.stringify(subcommand))
}

const unknownCommand = (word: string): UsageError => {
  const near = nearest(
    word,
    entries.map(({ name }) => name),
  )
  return new UsageError(`Unknown command \`${word}\` (${near === null ? 'see `salora --help`' : `did you mean \`${near}\`?`})`)
}

/** One line on standard error → the exit code. The words for errors are loaded only when there is one. */
export const reported = async (error: unknown): Promise<number> => {
  try {
    if (!(error instanceof LoadingError)) return (await lazyImport(import('./terminal/reportError.js'))).reportError(error)
    process.stderr.write(`${error.message}\n`)
    return exitCodes.failure
  } catch (unloaded) {
    if (unloaded === error || !(unloaded instanceof LoadingError)) throw unloaded
    return reported(unloaded)
  }
}
