/** A command as one would type it: flags by the names of settings, words that a shell takes as they are meant. */
import { oneLine } from '../../accelerated/errors/inputError.js'

/** `gateStart` → `--gate-start` */
export const flagOf = (setting: string): string => `--${setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

/** A word for a POSIX shell; with control characters, which would not show or would end the line, in the form that bash and zsh have for them. */
export const inShell = (word: string): string => {
  if (/^[\w./@%+=:,-]+$/.test(word)) return word
  if (oneLine(word) === word) return `'${word.replaceAll("'", "'\\''")}'`
  return `$'${oneLine(word.replace(/[\\']/g, '\\$&'))}'`
}

/** What goes on with a run that was stopped. */
export const resumeCommand = (output: string): string => `salora train --resume --output ${inShell(output)}`

/** Values that are neither null nor a default, as flags. Lists are cut at commas; a switch takes nothing. */
export const flagsOf = (values: Readonly<Record<string, unknown>>): ReadonlyArray<string> =>
  Object.entries(values).flatMap(([name, value]) => {
    if (value === null || value === undefined || value === false) return []
    return value === true ? [flagOf(name)] : [flagOf(name), String(value)]
  })
