/** Writes commands as a user would type them: flags from setting names, words quoted for the shell. */
import { oneLine } from '../../accelerated/errors/inputError.js'

/** `gateStart` → `--gate-start` */
export const flagOf = (setting: string): string => `--${setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

/** Quotes a word for a POSIX shell. A word with control characters takes the $'…' form of bash and zsh. */
export const inShell = (word: string): string => {
  if (/^[\w./@%+=:,-]+$/.test(word)) return word
  if (oneLine(word) === word) return `'${word.replaceAll("'", "'\\''")}'`
  return `$'${oneLine(word.replace(/[\\']/g, '\\$&'))}'`
}

/** The command that resumes a stopped run. */
export const resumeCommand = (output: string): string => `salora train --resume --output ${inShell(output)}`

/** Values that are neither null nor a default, as flags. Lists are cut at commas; a switch takes nothing. */
export const flagsOf = (values: Readonly<Record<string, unknown>>): readonly string[] =>
  Object.entries(values).flatMap(([name, value]) => {
    if (value === null || value === undefined || value === false) return []
    return value === true ? [flagOf(name)] : [flagOf(name), String(value)]
  })
