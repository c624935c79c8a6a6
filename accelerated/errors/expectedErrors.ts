/** The errors that a user can repair. Their message is the one line to print; any other error is a defect, printed with its stack. */
import { UserError } from './inputError.js'
import { option, words, type Text } from './words.js'

/**
 * The error of a training run that cannot continue: a number is not finite, or a method did not finish its phases.
 * Ends a run. Its message is one line. It does not name the run's folder, which training does not know.
 */
export class TrainingError extends UserError {
  override readonly name = 'TrainingError'
}

/**
 * A setting with a value that it cannot have.
 * Its message is one line. `setting` is the name in camelCase; `remedy` is what to do, where `expected` does not say it.
 */
export class SettingsError extends UserError {
  override readonly name = 'SettingsError'
  constructor(
    readonly setting: string,
    readonly expected: Text,
    readonly got: string,
    readonly remedy: Text | null = null,
  ) {
    super(words`${option(setting)}: expected ${expected}, got ${got}${remedy === null ? '' : words` (${remedy})`}`)
  }
}

/** A device, or its runtime, that does not work here. Its message is one line. */
export class DeviceError extends UserError {}

export const isExpected = (error: unknown): boolean => error instanceof UserError
