/** The errors that a user can repair. Their message is the one line to print; any other error is a defect, printed with its stack. */
import { DeviceError } from './deviceError.js'
import { InputError } from './inputError.js'
import { SettingsError } from './settingsError.js'
import { TrainingError } from './trainingError.js'

const expectedErrors = [InputError, DeviceError, SettingsError, TrainingError]

export const isExpected = (error: unknown): boolean => expectedErrors.some((type) => error instanceof type)
