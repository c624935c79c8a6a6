/** Models to agree on: every size as small as it comes, d ≠ k, and now and then one token, one example, r = 1, all gates shut or all open. */
import fc from 'fast-check'
import { describeRow, type Row } from '../../evaluation/agreement/index.js'
import type { ModelOptions } from '../../evaluation/agreement/model.js'

export const modelOptions: fc.Arbitrary<ModelOptions> = fc.record({
  family: fc.constantFrom('roberta', 'bert'),
  problem: fc.constantFrom('classification', 'regression'),
  activation: fc.constantFrom('gelu', 'gelu_tanh'),
  layers: fc.constantFrom(1, 2),
  heads: fc.constantFrom(2, 3),
  headSize: fc.constantFrom(2, 3, 5),
  intermediateSize: fc.constantFrom(5, 7, 11),
  rank: fc.constantFrom(1, 2, 3, 4),
  lengths: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
  classes: fc.constantFrom(2, 3, 4),
  gates: fc.constantFrom('mixed', 'inside', 'shut', 'open'),
  tau: fc.constantFrom(1, 0.6),
  beta: fc.constantFrom(0.1, 0.5),
  clip: fc.constantFrom(null, 0.5),
  orthogonality: fc.constantFrom('mean', 'sum'),
  orthogonalityAfter: fc.constantFrom('unit', 'folded', 'off'),
  control: fc.constantFrom('ramp', 'paper'),
  dropout: fc.constantFrom(0, 0.2, 0.5),
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
})

/** One model of middling size; `change` says what a test is about. */
export const someOptions = (change: Partial<ModelOptions> = {}): ModelOptions => ({
  family: 'roberta',
  problem: 'classification',
  activation: 'gelu',
  layers: 1,
  heads: 2,
  headSize: 3,
  intermediateSize: 7,
  rank: 2,
  lengths: [3, 1, 4],
  classes: 3,
  gates: 'mixed',
  tau: 1,
  beta: 0.1,
  clip: null,
  orthogonality: 'mean',
  orthogonalityAfter: 'unit',
  control: 'ramp',
  dropout: 0.2,
  seed: 5,
  ...change,
})

/** What does not hold, in words: [] where all agree. */
export const disagreements = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => rows.filter(({ holds }) => !holds).map(describeRow)
