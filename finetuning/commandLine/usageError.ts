/** Wrong usage: the command line itself is wrong, not a file or a machine that it names. */

/** A flag or an argument is wrong. The message is one line that names it; the exit code is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** `--rank: expected …, got …` as an error to throw. */
export const usageError = (where: string, expected: string, got: string): UsageError =>
  new UsageError(`${where}: expected ${expected}, got ${got}`)

/** `--model is required: a folder or a hub id` as an error to throw. */
export const requiredError = (where: string, what: string): UsageError => new UsageError(`${where} is required: ${what}`)
