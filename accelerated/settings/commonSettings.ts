/** Settings that every run has, whatever its method. A default is ours where the paper (§4.1, appendix B) gives none. */
import { alternatives } from '../errors/nearest.js'
import { z } from 'zod'
import { precisions } from '../precisions/index.js'
import type { Precision } from '../precisions/precision.js'
import * as defaults from './defaults.js'
import { schedules, type ScheduleName } from '../schedules/index.js'
import { devices } from '../engines/devices/index.js'
import { settingGroup, type SettingTable, type SettingValues } from './setting.js'
import { SettingsError } from '../errors/expectedErrors.js'
import { type AdamWSettings, weightGroups, type WeightGroups } from '../parameters/optimizerGroup.js'

const positive = z.number().positive()
const fraction = z.number().min(0).max(1)
const share = z.number().min(0).lt(1)
const count = z.int().min(1)

/** The largest number of steps: a checkpoint's name has nine digits for it. */
export const maxRunSteps = 999_999_999

const scheduleNames = Object.keys(schedules) as [ScheduleName, ...ScheduleName[]]
const deviceNames = ['auto', ...devices.map(({ name }) => name)]
const cards = z.templateLiteral(['cuda:', z.string().regex(/^(\d{1,3}|tf32|\d{1,3}:tf32)$/)])
const precisionNames = precisions.map(({ name }) => name)
const explainedPrecisions = precisions.map(({ name, summary }) => `${name} (${summary})`)

export const trainingSettings = settingGroup('Training', {
  learningRate: {
    placeholder: 'rate',
    description: 'Peak learning rate',
    defaultText: defaults.learningRateText,
    common: true,
    schema: positive.nullable().default(null),
  },
  weightDecay: { description: 'Weight decay of trained matrices', schema: z.number().min(0).default(0.01) },
  adamBeta1: { description: 'β₁ of AdamW', viaSet: true, schema: share.default(0.9) },
  adamBeta2: { description: 'β₂ of AdamW', viaSet: true, schema: share.default(0.999) },
  adamEpsilon: { description: 'ε of AdamW', viaSet: true, schema: positive.default(1e-8) },
  lrSchedulerType: {
    placeholder: 'name',
    description: `Learning-rate schedule: ${alternatives(Object.entries(schedules).map(([name, { summary }]) => `${name} (${summary})`))}`,
    common: true,
    schema: z.enum(scheduleNames).default('linear'),
  },
  warmupRatio: {
    placeholder: 'fraction',
    description: 'Fraction of all steps for linear warm-up',
    common: true,
    schema: fraction.default(0.06),
  },
  warmupSteps: {
    placeholder: 'steps',
    description: 'Steps of linear warm-up (overrides --warmup-ratio)',
    schema: z.int().min(0).max(maxRunSteps).nullable().default(null),
  },
  lrSchedulerNumCycles: {
    description: 'Waves of cosine, or half waves of cosine_with_restarts',
    defaultText: '0.5 or 1',
    viaSet: true,
    schema: positive.max(maxRunSteps).nullable().default(null),
  },
  lrSchedulerPower: { description: 'Power of polynomial decay', viaSet: true, schema: positive.default(1) },
  lrEnd: {
    placeholder: 'rate',
    description: 'Learning rate at the end of polynomial decay',
    viaSet: true,
    schema: z.number().min(0).default(1e-7),
  },
  epochs: {
    description: 'Training epochs',
    defaultText: `${defaults.epochs.value}, or enough for ${defaults.leastSteps.value} steps`,
    common: true,
    schema: positive.nullable().default(null),
  },
  maxSteps: {
    placeholder: 'steps',
    description: 'Stop after this many steps (overrides --epochs)',
    common: true,
    schema: count.max(maxRunSteps).nullable().default(null),
  },
  batchSize: { placeholder: 'examples', description: 'Examples per batch', common: true, schema: count.max(65536).default(32) },
  gradientAccumulationSteps: {
    placeholder: 'batches',
    description: 'Batches per optimizer step',
    common: true,
    schema: count.max(65536).default(1),
  },
  maxLength: {
    placeholder: 'tokens',
    description: 'Maximum tokens per example, special tokens included; longer examples are truncated',
    common: true,
    schema: z.int().min(3).default(128),
  },
  classWeights: {
    placeholder: 'weights',
    description: 'Class weights of the loss: balanced, equal, or LABEL=WEIGHT pairs separated by commas',
    defaultText: 'auto: balanced for a file with two thirds of one class, else equal',
    schema: z.string().min(1).nullable().default('auto'), // null: equal, as in runs of earlier versions
  },
  head: {
    placeholder: 'start',
    description: `Start of a sentence encoder's new classifier: ${alternatives(['probe (a regression on its embeddings)', 'transformers (its random initialization)'])}`,
    schema: z.enum(['probe', 'transformers']).default('probe'),
  },
  contrast: {
    placeholder: 'weight',
    description: "Weight of the contrastive term for a sentence encoder's new classifier: pulls texts of one class together",
    defaultText: `${defaults.contrast.value} for lora on fewer than ${defaults.mostFoldedRows.value} rows of a file, else 0`,
    viaSet: true,
    schema: z.number().min(0).max(100).nullable().default(null),
  },
  maxGradNorm: {
    placeholder: 'norm',
    description: 'Clip the global gradient norm to this value',
    defaultText: 'no clipping',
    common: true,
    schema: positive.nullable().default(null),
  },
  dropout: {
    placeholder: 'probability',
    description: 'Dropout probability of the model',
    defaultText: "the model's config.json",
    schema: share.nullable().default(null),
  },
  neftuneAlpha: {
    placeholder: 'alpha',
    description: 'Noise of word embeddings in training: uniform up to alpha / √(tokens of the longest text · width) (NEFTune: 5 to 15)',
    defaultText: 'none',
    viaSet: true,
    schema: positive.max(1e4).nullable().default(null),
  },
  seed: { placeholder: 'n', description: 'Random seed', common: true, schema: z.int().min(0).default(0) },
})

export const machineSettings = settingGroup('Machine', {
  device: {
    placeholder: 'name',
    description: `Device: ${alternatives(deviceNames)}; cuda:1 is the second card, and cuda:tf32 or cuda:1:tf32 multiplies in TF32, with 10-bit mantissas`,
    common: true,
    schema: z.union([z.enum(deviceNames), cards], { error: `one of ${deviceNames.join(', ')} (a card: cuda:1)` }).default('auto'),
  },
  precision: {
    placeholder: 'name',
    description: `Precision: ${alternatives(explainedPrecisions)}`,
    common: true,
    schema: z.enum(precisionNames).default('float32'),
  },
  gradientCheckpointing: {
    description: 'Recompute activations in the backward pass; less memory, slower steps, identical numbers',
    common: true,
    schema: z.boolean().default(false),
  },
  threads: {
    placeholder: 'n',
    description: 'CPU threads; 0 lets ONNX Runtime choose',
    common: true,
    schema: z.int().min(0).max(1024).default(0),
  },
})

export const scheduleSettings = settingGroup('Run', {
  saveSteps: {
    placeholder: 'steps',
    description: 'Steps between checkpoints',
    defaultText: 'at each evaluation',
    schema: count.nullable().default(null),
  },
  earlyStoppingPatience: {
    placeholder: 'evaluations',
    description: 'Stop after this many evaluations without improvement',
    defaultText: 'never',
    common: true,
    schema: count.nullable().default(null),
  },
  loadBestModelAtEnd: {
    description: 'Save the adapter of the best evaluation, by score and then by loss; --no-load-best-model-at-end saves the last one',
    defaultText: `on, unless less than ${defaults.leastChoosingRows.value} rows were held out`,
    schema: z.boolean().nullable().default(null),
  },
  evalFolds: {
    placeholder: 'n',
    description: 'Cross-validation folds for the score; the final run then trains on all rows, and 0 holds out rows instead',
    defaultText: `${defaults.defaultFolds.value} for lora on a sentence encoder and a file of less than ${defaults.mostFoldedRows.value} rows, else 0`,
    schema: z
      .int()
      .min(0)
      .max(20)
      .refine((n) => n !== 1, { error: '0, or 2 to 20' })
      .nullable()
      .default(null),
  },
  evalSteps: {
    placeholder: 'steps',
    description: 'Steps between evaluations',
    defaultText: 'one epoch',
    common: true,
    schema: count.nullable().default(null),
  },
})

export const commonSettings = { ...trainingSettings, ...machineSettings, ...scheduleSettings } as const satisfies SettingTable

/** Settings that do not change a run's numbers: a run may resume with other values. */
export const numericallyNeutralSettings: readonly string[] = ['gradientCheckpointing'] satisfies readonly (keyof typeof commonSettings)[]

export type CommonSettings = SettingValues<typeof commonSettings>

/** Whether the gradients of several batches are added before an update. */
export const accumulates = ({ gradientAccumulationSteps }: Pick<CommonSettings, 'gradientAccumulationSteps'>): boolean =>
  gradientAccumulationSteps > 1

export const findPrecision = (name: string): Precision => {
  const precision = precisions.find((one) => one.name === name)
  if (precision === undefined) throw new SettingsError('precision', `${alternatives(precisionNames)}`, JSON.stringify(name))
  return precision
}

/** AdamW's constants for W. */
export const pickAdamSettings = ({
  adamBeta1,
  adamBeta2,
  adamEpsilon,
}: Pick<CommonSettings, 'adamBeta1' | 'adamBeta2' | 'adamEpsilon'>): AdamWSettings => ({
  beta1: adamBeta1,
  beta2: adamBeta2,
  epsilon: adamEpsilon,
})

export const buildWeightGroups = (settings: CommonSettings): WeightGroups => weightGroups(pickAdamSettings(settings), settings.weightDecay)
