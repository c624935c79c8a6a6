/** The stages of a trial on a GPU, in their order, one line each. */
import type { Stage } from '../stage.js'
import { agreementIn } from './agreement.js'
import { devicesStage } from './devices.js'
import { mrpcStage } from './mrpc.js'
import { resumeStage } from './resume.js'
import { speedStages } from './speed.js'
import { verificationIn } from './verification.js'

export const stages: ReadonlyArray<Stage> = [
  devicesStage,
  verificationIn('float32'),
  verificationIn('mixed'),
  agreementIn('float32', 'float32', {}),
  agreementIn('tf32', 'TF32', { tf32: true }),
  agreementIn('mixed', 'mixed', { precision: 'mixed' }),
  ...speedStages,
  mrpcStage,
  resumeStage,
]
