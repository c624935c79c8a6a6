/**
 * salora: from a model's and a task's name to a trained adapter on disk, and from there to predictions. What it is made of has its own names:
 * salora/accelerated (graphs, methods, formats), salora/evaluation (data, metrics, runs) and salora/reference (the oracle).
 *
 * Whatever a caller can repair is thrown as an error whose message is one line (`isExpected` tells it from a defect).
 */
export { DeviceError } from './accelerated/errors/deviceError.js'
export { InputError } from './accelerated/errors/inputError.js'
export { resolveSettings, type Settings } from './accelerated/training/settings.js'
export type { SettingsInput } from './accelerated/settings/settingsInput.js'
export { SettingsError } from './accelerated/errors/settingsError.js'
export { TrainingError } from './accelerated/errors/trainingError.js'
export * from './evaluation/index.js'
