/** The command line of a script of the evaluation: its words and flags, --help from them, and one line for whatever is wrong. */
import { Command, CommanderError, Option } from 'commander'
import { InputError, inputError, quoted, reason } from '../../accelerated/errors/inputError.js'
import { describeSystemError } from '../../accelerated/errors/systemError.js'
import { SettingsError } from '../../accelerated/errors/settingsError.js'
import { commanderMessage } from './commanderMessage.js'
import { flagOf } from './shellCommand.js'
import { decimal } from '../data/dataset.js'
import { isExpected } from '../../accelerated/errors/expectedErrors.js'

/** `shows` is what --help has in the value's place. Without a default it has to be given; a list takes its flag several times. */
type Flag = { readonly shows: string; readonly about: string; readonly default?: string | number | null | readonly [] }
type Value<Default> = Default extends number
  ? number
  : Default extends string
    ? string
    : Default extends null
      ? string | null
      : ReadonlyArray<string>
type Values<Words, Flags> = { readonly [Name in keyof Words]: string } & {
  readonly [Name in keyof Flags]: Flags[Name] extends { readonly default: infer Default } ? Value<Default> : string
}

/** Where the default is whole, a whole number. @throws Mistake for another text */
const numberOf = (name: string, text: string, usual: number): number => {
  const value = decimal(text)
  const isWhole = Number.isInteger(usual)
  if (value === null || (isWhole && !(Number.isInteger(value) && value >= 0)))
    throw inputError(flagOf(name), isWhole ? 'a whole number' : 'a number', quoted(text))
  return value
}

const optionOf = (name: string, { shows, about, default: usual }: Flag): Option => {
  const option = new Option(`${flagOf(name)} <${shows}>`, about)
  if (usual === undefined) return option.makeOptionMandatory()
  option.default(usual, usual === null || Array.isArray(usual) ? 'none' : undefined)
  if (typeof usual === 'number') return option.argParser((text) => numberOf(name, text, usual))
  return Array.isArray(usual) ? option.argParser((text, earlier: ReadonlyArray<string>) => [...earlier, text]) : option
}

/** One line on standard error and the end of the process: 2 for what was typed, 1 for the rest. A defect keeps its stack. */
const leave = (thrown: unknown): never => {
  const told = describeSystemError(thrown)
  const isTyped = told instanceof CommanderError || told instanceof SettingsError || (told instanceof InputError && told.kind === 'usage')
  const whole = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  process.stderr.write(`${told instanceof CommanderError ? commanderMessage(told) : isExpected(told) ? reason(told) : whole}\n`)
  process.exit(isTyped ? 2 : 1)
}

/**
 * What was typed after `node dist/NAME.js`. The process ends after --help, and with one line where something is wrong: here, and later
 * wherever the script throws what its user can repair.
 */
export const scriptArguments = <
  const Words extends Readonly<Record<string, string>>,
  const Flags extends Readonly<Record<string, Flag>>,
>(script: {
  /** from `dist/`, without its ending */
  readonly name: string
  /** what it answers */
  readonly about: string
  /** those without flags, in their order, each with what it is */
  readonly words?: Words
  readonly flags: Flags
}): Values<Words, Flags> => {
  process.on('uncaughtException', leave)
  const command = new Command(`node dist/${script.name}.js`).description(script.about).helpOption('--help', 'this text')
  for (const [word, about] of Object.entries(script.words ?? {})) command.argument(`<${word}>`, about)
  for (const [name, flag] of Object.entries<Flag>(script.flags)) command.addOption(optionOf(name, flag))
  command.configureOutput({ outputError: () => undefined }).exitOverride((error) => (error.exitCode === 0 ? process.exit(0) : leave(error)))
  command.parse()
  const words = Object.keys(script.words ?? {}).map((word, i) => [word, command.args[i]])
  return { ...command.opts(), ...Object.fromEntries(words) } as Values<Words, Flags>
}
