/** Errors whose message is the one line to show a user; any other is a defect, shown with its stack. */
import { Mistake } from '../accelerated/files/mistake.js'
import { DeviceError } from '../accelerated/runtime/deviceError.js'
import { SettingsError } from '../accelerated/settingsError.js'
import { TrainingError } from '../accelerated/training/accidents.js'
import { UserError } from './userError.js'

const expected = [Mistake, DeviceError, SettingsError, TrainingError, UserError]

export const isExpected = (error: unknown): boolean => expected.some((kind) => error instanceof kind)
