/** Names of settings in messages: a setting in camelCase is a flag in kebab-case. */
import { allSettings } from '../../accelerated/training/settings.js'
import { flagOf } from '../../finetuning/commandLine/shell.js'

export const settingNames: ReadonlyArray<string> = ['method', ...Object.keys(allSettings)]

/** Settings whose names are no English words, so that a sentence cannot mean anything else by them. */
const camelNames = settingNames.filter((name) => /[A-Z]/.test(name))

/** A message of the library in the words of the command line: settings become flags. */
export const inFlags = (message: string): string => {
  const named = /^([A-Za-z][A-Za-z0-9]*)(?=[: ])/.exec(message)?.[1] ?? ''
  const [first, rest] = settingNames.includes(named) ? [flagOf(named), message.slice(named.length)] : ['', message]
  return (
    first + camelNames.reduce((text, name) => text.replaceAll(new RegExp(`(?<![\\w/.-])${name}(?![\\w/]|\\.\\w)`, 'g'), flagOf(name)), rest)
  )
}
