/** A setting that cannot be. */

/** `setting` is its name in camelCase. Its message is one line. */
export class SettingsError extends Error {
  constructor(
    readonly setting: string,
    readonly expected: string,
    readonly found: string,
  ) {
    super(`${setting}: expected ${expected}, found ${found}`)
    this.name = 'SettingsError'
  }
}
