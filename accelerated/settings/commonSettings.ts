/** Settings that every run has, whatever its method. Where the paper gives no value (§4.1, appendix B) the default is said to be ours. */
import { z } from 'zod'
import { precisions } from '../precisions/index.js'
import type { Precision } from '../precisions/precision.js'
import { devices } from '../engines/devices/index.js'
import { setting, type SettingTable, type SettingValues } from './setting.js'
import { SettingsError } from '../errors/settingsError.js'
import type { AdamWSettings } from '../training/adamw.js'
import { weightGroups, type OptimizerGroup } from '../training/optimizer.js'

const positive = z.number().positive()
const fraction = z.number().min(0).max(1)
const share = z.number().min(0).lt(1)
const count = z.int().min(1)

/** Steps of one run: a checkpoint's name has nine digits for them. */
export const maxRunSteps = 999_999_999

const listed = (names: ReadonlyArray<string>): string =>
  [names.slice(0, -1).join(', '), names.at(-1)].filter((part) => part !== '').join(' or ')

const deviceNames = ['auto', ...devices.map(({ name }) => name)]
const precisionNames = precisions.map(({ name }) => name)
const explainedPrecisions = precisions.map(({ name, summary }) => `${name} (${summary})`)

export const trainingSettings = {
  learningRate: setting('number', 'rate', 'at its peak, of everything that is trained', positive.default(4e-4)),
  weightDecay: setting('number', 'number', 'of trained matrices', z.number().min(0).default(0.01)),
  adamBeta1: setting('number', 'number', "AdamW's β₁", share.default(0.9)),
  adamBeta2: setting('number', 'number', "AdamW's β₂", share.default(0.999)),
  adamEpsilon: setting('number', 'number', "AdamW's ε", positive.default(1e-8)),
  warmupRatio: setting('number', 'fraction', 'of the run, in which the learning rate rises', fraction.default(0.06)),
  epochs: setting('number', 'number', 'passes over the training data', positive.default(3)),
  maxSteps: setting('number', 'steps', 'instead of --epochs', count.max(maxRunSteps).nullable().default(null)),
  batchSize: setting('number', 'examples', 'in one batch', count.max(65536).default(32)),
  gradientAccumulationSteps: setting('number', 'batches', 'whose gradients make one step', count.max(65536).default(1)),
  maxLength: setting('number', 'tokens', 'of one example, special ones included; longer ones are cut', z.int().min(3).default(128)),
  classWeights: setting(
    'text',
    'which',
    'of the loss: balanced, or LABEL=WEIGHT with commas (default: all alike)',
    z.string().min(1).nullable().default(null),
  ),
  maxGradNorm: setting('number', 'norm', 'largest gradient norm (default: no clipping)', positive.nullable().default(null)),
  dropout: setting('number', 'probability', "instead of those of the model's config.json", share.nullable().default(null)),
  seed: setting('number', 'n', 'of everything random', z.int().min(0).default(0)),
} as const

export const machineSettings = {
  device: setting('text', 'name', listed(deviceNames), z.enum(deviceNames).default('auto')),
  precision: setting('text', 'name', listed(explainedPrecisions), z.enum(precisionNames).default('float32')),
  gradientCheckpointing: setting(
    'switch',
    '',
    "each layer's values once more for its gradient, instead of keeping them: less memory, longer steps, the same numbers",
    z.boolean().default(false),
  ),
  threads: setting('number', 'n', 'of the CPU; 0 lets ONNX Runtime choose', z.int().min(0).max(1024).default(0)),
} as const

export const scheduleSettings = {
  saveSteps: setting('number', 'steps', 'between checkpoints (default: at each evaluation)', count.nullable().default(null)),
  earlyStoppingPatience: setting(
    'number',
    'evaluations',
    'in a row without a better one, after which the run ends (default: it does not)',
    count.nullable().default(null),
  ),
  loadBestModelAtEnd: setting(
    'switch',
    '',
    'Save the best adapter by --metric-for-best-model; --no-load-best-model-at-end saves the last one',
    z.boolean().default(true),
  ),
  evalSteps: setting('number', 'steps', 'between evaluations (default: an epoch)', count.nullable().default(null)),
} as const

export const commonSettings = { ...trainingSettings, ...machineSettings, ...scheduleSettings } as const satisfies SettingTable

/** Settings that change no bit of what a run computes: a run may go on with others. */
export const numericallyNeutralSettings: ReadonlyArray<string> = ['gradientCheckpointing'] satisfies ReadonlyArray<
  keyof typeof commonSettings
>

export type CommonSettings = SettingValues<typeof commonSettings>

export const precisionOf = (name: string): Precision => {
  const found = precisions.find((precision) => precision.name === name)
  if (found === undefined) throw new SettingsError('precision', `${listed(precisionNames)}`, JSON.stringify(name))
  return found
}

/** AdamW's constants of W. */
export const adamOf = ({
  adamBeta1,
  adamBeta2,
  adamEpsilon,
}: Pick<CommonSettings, 'adamBeta1' | 'adamBeta2' | 'adamEpsilon'>): AdamWSettings => ({
  beta1: adamBeta1,
  beta2: adamBeta2,
  epsilon: adamEpsilon,
})

export const weightGroupsOf = (settings: CommonSettings): Readonly<Record<'decayed' | 'undecayed', OptimizerGroup>> =>
  weightGroups(adamOf(settings), settings.weightDecay)
