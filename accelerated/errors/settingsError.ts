/** A setting with a value that it cannot have. */

/** Its message is one line. `setting` is the name in camelCase. */
export class SettingsError extends Error {
  constructor(
    readonly setting: string,
    readonly expected: string,
    readonly got: string,
  ) {
    super(`${setting}: expected ${expected}, got ${got}`)
    this.name = 'SettingsError'
  }
}
