/** The errors that a user can repair. Their message is the one line to print; any other error is a defect, printed with its stack. */
import { InputError } from './inputError.js'

/**
 * The error of a training run that cannot continue: a number is not finite, or a method did not finish its phases.
 * Ends a run. Its message is one line. It does not name the run's folder, which training does not know.
 */
export class TrainingError extends Error {
  override readonly name = 'TrainingError'
}

/**
 * A setting with a value that it cannot have.
 * Its message is one line. `setting` is the name in camelCase; `remedy` is what to do, where `expected` does not say it.
 */
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

/** A device, or its runtime, that does not work here. Its message is one line. */
export class DeviceError extends Error {}

const expectedErrors = [InputError, DeviceError, SettingsError, TrainingError]

export const isExpected = (error: unknown): boolean => expectedErrors.some((type) => error instanceof type)
