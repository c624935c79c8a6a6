/** The quickstart: SaLoRA on the embedded model and dataset, with settings for two CPU cores. */
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { TaskOptions } from '../tasks/index.js'

export { embeddedModel } from '../../accelerated/checkpoints/hub/hub.js'

export const quickstartTask: TaskOptions = { task: 'sentiment' }

export const quickstartSettings: SettingsInput = { method: 'salora', epochs: 8, batchSize: 32, learningRate: 1e-3, maxLength: 64 }
