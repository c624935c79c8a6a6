/** A command as data: what it does, its flags and arguments, and examples. Its parser, its --help and its reference page follow from this. */
import { switchFlag, type FlagGroups, type FlagValues } from './flag.js'

/** A word without a flag, as `DIR` in `salora report DIR`. */
export type Argument = { readonly name: string; readonly description: string; readonly several?: boolean; readonly required?: boolean }

/** A word without a flag was meant for the first of these flags that is not typed. `text` says where a text goes, which is a word with spaces. */
export type LooseWords = { readonly flags: readonly string[]; readonly text?: string }

export type Example = { readonly command: string; readonly result: string }

export type Definition<G extends FlagGroups = FlagGroups> = {
  /** what users type, as `salora train` */
  readonly name: string
  /** one or two sentences */
  readonly description: string
  /** what follows the name in the usage line, where required flags and arguments say too little */
  readonly usage?: string
  readonly arguments?: readonly Argument[]
  readonly flags: G
  /** where a word without a flag belongs; absent where the command takes arguments, or nothing */
  readonly looseWords?: LooseWords
  readonly examples: readonly Example[]
}

/** The values of a command line. */
export type Values<G extends FlagGroups> = {
  readonly flags: FlagValues<G>
  readonly words: readonly string[]
}

/** Flags that every command has; they end it before it starts. */
export const helpFlags = {
  help: { ...switchFlag('Print this help'), short: 'h' },
  helpAll: switchFlag('Print this help with all options'),
  version: { ...switchFlag('Print the version'), short: 'V' },
}
