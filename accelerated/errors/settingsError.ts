/** A setting that cannot be. */

/** `setting` is its name in camelCase. Its message is one line. */
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
