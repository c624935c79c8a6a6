/** The quickstart: SaLoRA on the embedded model and the embedded sentences, with settings for a laptop's two cores. */
import { fileURLToPath } from 'node:url'
import type { SettingsInput } from '../../accelerated/training/settings.js'
import type { TaskOptions } from '../tasks/index.js'

/** The model in the repository: not compiled, so a compiled module finds it beside `dist`. */
export const embeddedModel: string = fileURLToPath(
  new URL(import.meta.url.includes('/dist/') ? '../../../finetuning/embedded/model' : './model', import.meta.url),
)

export const quickstartTask: TaskOptions = { task: 'sentiment' }

export const quickstartSettings: SettingsInput = { method: 'salora', epochs: 8, batchSize: 32, learningRate: 1e-3, maxLength: 64 }
