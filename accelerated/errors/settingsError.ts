/** A setting with a value that it cannot have. */

/** Its message is one line. `setting` is the name in camelCase; `remedy` is what to do, where `expected` does not say it. */
export class SettingsError extends Error {
  constructor(
    readonly setting: string,
    readonly expected: string,
    readonly got: string,
    readonly remedy: string | null = null,
  ) {
    super(`${setting}: expected ${expected}, got ${got}${remedy === null ? '' : ` (${remedy})`}`)
    this.name = 'SettingsError'
  }
}
