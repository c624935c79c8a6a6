/** A command line's words become values by its definition. commander cuts them into flags and texts, and nothing else of it is used. */
import { Command, CommanderError, Option } from 'commander'
import { quoted } from '../../accelerated/errors/inputError.js'
import { helpFlags, type Definition, type Values } from './definition.js'
import { formatFlag, type Flag, type FlagGroups, type FlagTable, type Typed } from './flag.js'
import { nearest } from '../../accelerated/errors/nearest.js'
import { isViaSet, toFlag, toKebab, toRemedy } from './optionNames.js'
import { inShell } from './shell.js'
import { UsageError, usageError } from './usageError.js'

/** What a command line asks for. */
export type Parsed<G extends FlagGroups> =
  | { readonly kind: 'help'; readonly all: boolean }
  | { readonly kind: 'version' }
  | { readonly kind: 'values'; readonly values: Values<G> }

/** What an unknown flag may have meant, as `did you mean --rank?`; null where nothing is near. @param value what was typed after it */
export type Suggest = (typed: string, known: readonly string[], value?: string) => string | null

/** The nearest flag by edit distance. */
export const suggestNearest: Suggest = (typed, known, value) => {
  const plain = typed.replace(/^-+/, '')
  const suggestion = nearest(plain.replaceAll('_', '-'), known.map(toKebab))
  const name = known.find((one) => toKebab(one) === suggestion)
  if (name === undefined) return null
  return plain === suggestion ? `use ${toRemedy(name, value)}` : `did you mean ${toRemedy(name, value)}?`
}

/** Every flag of a command by name, those of --help included. */
export const flagsIn = (groups: FlagGroups): FlagTable => Object.assign({}, ...Object.values(groups), helpFlags)

/** @throws UsageError for a flag, a text or an argument that is wrong */
export const parseArguments = <const G extends FlagGroups>(
  definition: Definition<G>,
  args: readonly string[],
  suggest: Suggest = suggestNearest,
): Parsed<G> => {
  const table = flagsIn(definition.flags)
  const command = new Command()
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .helpOption(false)
    .allowExcessArguments(true)
    .showSuggestionAfterError(false)
  for (const [name, flag] of Object.entries(table))
    if (!isViaSet(name)) for (const option of toOptions(name, flag)) command.addOption(option)
  // as soon as it is read: whatever is wrong beside --help is no reason to withhold the help
  let parsed: Parsed<G> | null = null
  command.on('option:help', () => (parsed ??= { kind: 'help', all: false }))
  command.on('option:help-all', () => (parsed = { kind: 'help', all: true }))
  command.on('option:version', () => (parsed ??= { kind: 'version' }))
  try {
    command.parse(args, { from: 'user' })
  } catch (thrown) {
    if (parsed !== null) return parsed
    throw thrown instanceof CommanderError ? toUsageError(thrown, definition, args, suggest) : thrown
  }
  if (parsed !== null) return parsed
  const { set = [] } = command.opts<{ readonly set?: readonly string[] }>()
  const flags = parseValues<G>(table, { ...command.opts(), ...parseSet(set, definition.name, table, suggest) })
  return { kind: 'values', values: { flags, words: parseWords(definition, command.args, command.opts(), table) } }
}

const toOptions = (name: string, flag: Flag): readonly Option[] => {
  const option = new Option(formatFlag(name, flag))
  if (flag.arity === 'repeatable') option.argParser((text: string, earlier: readonly string[] = []) => [...earlier, text])
  return flag.negatable ? [option, new Option(toFlag(name).replace('--', '--no-'))] : [option]
}

const parseValues = <G extends FlagGroups>(table: FlagTable, typed: Readonly<Record<string, Typed>>): Values<G>['flags'] =>
  Object.fromEntries(Object.entries(table).map(([name, flag]) => [name, flag.parse(toFlag(name), typed[name])])) as Values<G>['flags']

/** `tau=0.5` */
const splitAssignment = (text: string): { readonly name: string; readonly value: string | undefined } => {
  const [, name = text, value] = /^([^=]*)=(.*)$/s.exec(text) ?? []
  return { name, value }
}

/** The texts after --set, of NAME=VALUE and commas. @throws UsageError for an unknown name, or one without a value */
const parseSet = (texts: readonly string[], command: string, table: FlagTable, suggest: Suggest): Readonly<Record<string, string>> =>
  Object.fromEntries(
    texts
      .flatMap((text) => text.split(/,(?!\d+(?:,|$))/)) // matryoshka=256,128 is one
      .map((assignment) => {
        const { name: typed, value } = splitAssignment(assignment)
        if (typed === '') throw usageError('--set', 'NAME=VALUE', quoted(assignment))
        const found = Object.entries(table).find(([name]) => isViaSet(name) && [name, toKebab(name)].includes(typed))
        if (found === undefined) {
          const remedy = suggest(typed, Object.keys(table), value) ?? `see ${command} --help-all`
          throw new UsageError(`--set ${typed}: unknown setting (${remedy})`)
        }
        const [name, { description }] = found
        if (value === undefined) throw usageError(toFlag(name), `a value (${description})`, 'none')
        return [name, value]
      }),
  )

/** A flag that another one took as its value, as `--model $MODEL --task` with an empty variable does. It explains a word too many: that was to be the value. */
type TakenFlag = { readonly flag: string; readonly value: string }

const takenFlag = (table: FlagTable, typed: Readonly<Record<string, Typed>>): TakenFlag | null => {
  const known = Object.keys(table).map(toFlag)
  const [taken] = Object.entries(typed).flatMap(([name, value]) =>
    typeof value === 'string' && known.includes(value) ? [{ flag: toFlag(name), value }] : [],
  )
  return taken ?? null
}

const parseWords = (
  definition: Definition,
  words: readonly string[],
  typed: Readonly<Record<string, Typed>>,
  table: FlagTable,
): readonly string[] => {
  const { name, arguments: expected = [] } = definition
  const lacking = expected[words.length]
  if (lacking?.required === true) throw new UsageError(`${lacking.name.toUpperCase()} is required (see ${name} --help)`)
  const extra = expected.some(({ several }) => several === true) ? undefined : words[expected.length]
  if (extra === undefined) return words
  const taken = takenFlag(table, typed)
  if (taken !== null) throw usageError(taken.flag, 'a value', `the option ${taken.value}`)
  const most = expected.length === 0 ? 'options only' : `${expected.length} argument${expected.length === 1 ? '' : 's'}`
  throw usageError(name, most, `${quoted(extra)} (${suggestPlace(extra, definition, typed)})`)
}

/** Where a word too many belongs, as `use --task reviews.csv`. */
const suggestPlace = (word: string, { name, looseWords }: Definition, typed: Readonly<Record<string, Typed>>): string => {
  const { flags = [], text } = looseWords ?? {}
  const flag = text !== undefined && /\s/.test(word) ? undefined : flags.find((one) => typed[one] === undefined)
  return flag === undefined ? (text ?? `see ${name} --help`) : `use ${toFlag(flag)} ${word.length > 80 ? '…' : inShell(word)}`
}

/** commander writes `error: unknown option '--foo'`. */
const toUsageError = ({ code, message }: CommanderError, definition: Definition, args: readonly string[], suggest: Suggest): UsageError => {
  const typed = /'([^']*)'/.exec(message)?.[1] ?? ''
  if (code === 'commander.unknownOption') return unknownFlag(typed, definition, args, suggest)
  if (code === 'commander.optionMissingArgument')
    return usageError(typed.split(' ').find((word) => word.startsWith('--')) ?? typed, 'a value', 'none')
  return new UsageError(message.replace(/^error: /, ''))
}

const unknownFlag = (typed: string, { name, flags }: Definition, args: readonly string[], suggest: Suggest): UsageError => {
  const known = Object.entries(flagsIn(flags)).flatMap(([one, flag]) => (flag.hidden ? [] : [one]))
  const { name: flag, value = args[args.indexOf(typed) + 1] } = splitAssignment(typed)
  const remedy = suggest(flag, known, value?.startsWith('--') === true ? undefined : value)
  return new UsageError(`${typed}: unknown option (${remedy ?? `see ${name} --help`})`)
}
