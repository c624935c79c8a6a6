/** Random models of the smallest sizes, with d ≠ k. Some have one token, one example, r = 1, only closed gates or only open ones. */
import fc from 'fast-check'
import { describeRow, type Row } from '../../evaluation/agreement/rows.js'
import type { DecoderOptions, ModelOptions } from '../../evaluation/agreement/drawModel.js'

/** What models of every kind are drawn with. */
const common = {
  layers: fc.constantFrom(1, 2),
  intermediateSize: fc.constantFrom(5, 7, 11),
  gates: fc.constantFrom('mixed', 'inside', 'shut', 'open'),
  tau: fc.constantFrom(1, 0.6),
  beta: fc.constantFrom(0.1, 0.5),
  clip: fc.constantFrom(null, 0.5),
  loraPlusRatio: fc.constantFrom(1, 4),
  orthogonality: fc.constantFrom('mean', 'sum'),
  orthogonalityAfter: fc.constantFrom('unit', 'folded', 'off'),
  control: fc.constantFrom('ramp', 'adam', 'descent', 'constant'),
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
} as const

export const modelOptions: fc.Arbitrary<ModelOptions> = fc.record({
  ...common,
  family: fc.constantFrom('roberta', 'bert'),
  taskType: fc.constantFrom('classification', 'regression'),
  activation: fc.constantFrom('gelu', 'gelu_tanh'),
  heads: fc.constantFrom(2, 3),
  headSize: fc.constantFrom(2, 3, 5),
  rank: fc.constantFrom(1, 2, 3, 4),
  lengths: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
  classes: fc.constantFrom(2, 3, 4),
  dropout: fc.constantFrom(0, 0.2, 0.5),
})

/** Of middling size. */
const middling = {
  gates: 'mixed',
  tau: 1,
  beta: 0.1,
  clip: null,
  loraPlusRatio: 1,
  orthogonality: 'mean',
  orthogonalityAfter: 'unit',
  control: 'ramp',
  intermediateSize: 7,
  rank: 2,
  lengths: [3, 1, 4],
  seed: 5,
} as const

/** One model of middling size; `change` says what a test is about. */
export const someOptions = (change: Partial<ModelOptions> = {}): ModelOptions => ({
  ...middling,
  family: 'roberta',
  taskType: 'classification',
  activation: 'gelu',
  layers: 1,
  heads: 2,
  headSize: 3,
  classes: 3,
  dropout: 0.2,
  ...change,
})

/** What does not hold, in words: [] where all agree. */
export const disagreements = (rows: readonly Row[]): readonly string[] => rows.filter(({ holds }) => !holds).map(describeRow)

const scalings: readonly DecoderOptions['rotaryScaling'][] = [
  null,
  { kind: 'linear', factor: 4 },
  { kind: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 64 },
  { kind: 'yarn', factor: 4, betaFast: 3, betaSlow: 1, originalPositions: 30, truncate: false, attentionFactor: 1.2 },
]

/** Decoders: grouped heads, windows, biases, tied and untied, one token, all gates shut. */
export const decoderOptions: fc.Arbitrary<DecoderOptions> = fc
  .record({
    ...common,
    keyValueHeads: fc.constantFrom(1, 2, 3),
    sharing: fc.constantFrom(1, 2, 3),
    headSize: fc.constantFrom(2, 4, 6),
    rank: fc.constantFrom(1, 2, 3),
    lengths: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 4 }),
    window: fc.constantFrom(null, 1, 2, 4),
    biases: fc.record({ queryKeyValue: fc.boolean(), attentionOutput: fc.boolean(), feedForward: fc.boolean() }),
    gemma: fc.boolean(),
    queryKeyNorms: fc.boolean(),
    tied: fc.boolean(),
    rotaryScaling: fc.constantFrom(...scalings),
  } as const)
  .map(({ sharing, ...options }) => ({ ...options, heads: options.keyValueHeads * sharing }))

/** One decoder of middling size. */
export const someDecoder = (change: Partial<DecoderOptions> = {}): DecoderOptions => ({
  ...middling,
  layers: 2,
  heads: 4,
  keyValueHeads: 2,
  headSize: 4,
  window: null,
  biases: { queryKeyValue: false, attentionOutput: false, feedForward: false },
  gemma: false,
  queryKeyNorms: false,
  tied: false,
  rotaryScaling: null,
  ...change,
})
