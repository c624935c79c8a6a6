/** Wrong usage: what was typed cannot be meant. Its message is one line that names the flag. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** `--rank: expected …, got …` as an error to throw. */
export const usageError = (where: string, expected: string, found: string): UsageError =>
  new UsageError(`${where}: expected ${expected}, got ${found}`)
