/** Errors whose message is the one line to show a user; any other is a defect, shown with its stack. */
import { InputError } from '../accelerated/errors/inputError.js'
import { DeviceError } from '../accelerated/errors/deviceError.js'
import { SettingsError } from '../accelerated/errors/settingsError.js'
import { TrainingError } from '../accelerated/training/finiteChecks.js'
import { UserError } from './userError.js'

const expected = [InputError, DeviceError, SettingsError, TrainingError, UserError]

export const isExpected = (error: unknown): boolean => expected.some((kind) => error instanceof kind)
