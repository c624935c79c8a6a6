/** Errors whose message is the one line to show a user; any other is a defect, shown with its stack. */
import { FileError } from '../accelerated/files/fileError.js'
import { DeviceError } from '../accelerated/runtime/deviceProbe.js'
import { SettingsError } from '../accelerated/settings.js'
import { TrainingError } from '../accelerated/training/train.js'
import { UserError } from './finetuneJob.js'

const expected = [FileError, DeviceError, SettingsError, TrainingError, UserError]

export const isExpected = (error: unknown): boolean => expected.some((kind) => error instanceof kind)
