/** A command of salora: its definition, and what it does with its flags. */
import { onDownloadProgress } from '../../accelerated/checkpoints/hub/hubDownload.js'
import type { Definition } from '../../finetuning/commandLine/definition.js'
import { advanced, repeatableFlag, switchFlag, type FlagGroups, type FlagValues } from '../../finetuning/commandLine/flag.js'
import { helpText } from '../../finetuning/commandLine/help.js'
import { flagsIn, parseArguments } from '../../finetuning/commandLine/parse.js'
import { isViaSet } from '../../finetuning/commandLine/optionNames.js'
import { versions } from '../../finetuning/run/versions.js'
import { suggestFlag } from '../options/suggestions.js'
import { exitCodes } from './exit.js'
import { openTerminal, type Terminal } from './output.js'

export type Command = {
  readonly definition: Definition
  /** Prints help, version or the result. @returns the exit code @throws whatever the command throws, which is one line to report */
  readonly execute: (args: readonly string[]) => Promise<number>
}

const setFlag = advanced(repeatableFlag('name=value,...', 'Set what has no option of its own, by its name below; may be repeated'))

const outputFlags = {
  json: switchFlag('Print one JSON document to standard output; other output goes to standard error'),
  quiet: { ...switchFlag('Print only warnings and errors to standard error'), short: 'q' },
}

/** @param run returns the exit code; `words` are the arguments without a flag */
export const defineCommand = <const G extends FlagGroups>({
  run,
  ...own
}: Definition<G> & {
  readonly run: (flags: FlagValues<G>, terminal: Terminal, words: readonly string[]) => Promise<number>
}): Command => {
  const set = Object.keys(flagsIn(own.flags)).some(isViaSet) ? { set: setFlag } : {}
  const definition: Definition = { ...own, flags: { ...own.flags, General: { ...set, ...outputFlags } } }
  return {
    definition,
    execute: async (args) => {
      const parsed = parseArguments(definition, args, suggestFlag)
      if (parsed.kind !== 'values') {
        process.stdout.write(parsed.kind === 'version' ? versionText() : helpText(definition, { width: helpWidth(), all: parsed.all }))
        return exitCodes.success
      }
      const { flags, words } = parsed.values
      if (flags['offline'] === true) process.env['HF_HUB_OFFLINE'] = '1' // threads started later inherit it
      const terminal = openTerminal(flags)
      onDownloadProgress((line) => terminal.note(`${line} …`))
      return run(flags as FlagValues<G>, terminal, words)
    },
  }
}

export const versionText = (): string => `${versions['salora'] ?? ''}\n`

/** Columns of a line that is easy to read. */
const widest = 100

export const helpWidth = (): number => Math.min(process.stdout.columns ?? widest, widest)
