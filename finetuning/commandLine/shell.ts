/** Words quoted for the shell, and the command that resumes a run. A browser loads this file. */
import { oneLine } from '../../accelerated/errors/inputError.js'

/** Quotes a word for a POSIX shell. A word with control characters takes the $'…' form of bash and zsh. */
export const inShell = (word: string): string => {
  if (/^[\w./@%+=:,-]+$/.test(word)) return word
  if (oneLine(word) === word) return `'${word.replaceAll("'", "'\\''")}'`
  return `$'${oneLine(word.replace(/[\\']/g, '\\$&'))}'`
}

/** The command that resumes a stopped run. */
export const resumeCommand = (output: string): string => `salora train --resume --output ${inShell(output)}`
