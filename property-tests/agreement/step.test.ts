/** The whole objective and every gradient, hand-derived against automatic, on models drawn at random. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareStep } from '../../evaluation/agreement/compareSteps.js'
import type { ModelOptions } from '../../evaluation/agreement/drawModel.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { SEED } from '../support/seed.js'
import { disagreements, modelOptions, someOptions } from './modelOptions.js'

const agrees = async (options: ModelOptions, dtype: 'float64' | 'float32', gating: 'sampled' | 'open' = 'sampled'): Promise<void> => {
  expect(disagreements(await compareStep(drawModel(options), { device: 'cpu', precision: dtype }, gating))).toEqual([])
}

const edges: readonly (readonly [string, Partial<ModelOptions>])[] = [
  ['r = 1, one token, one example', { rank: 1, lengths: [1] }],
  ['the same, without regularizer', { rank: 1, lengths: [1], beta: 0 }],
  ['all gates shut', { gates: 'shut' }],
  ['all gates open', { gates: 'open' }],
  ['BERT, regression, tanh GELU, two layers', { family: 'bert', taskType: 'regression', activation: 'gelu_tanh', layers: 2, rank: 3 }],
  ['padding: lengths 5, 1 and 2', { lengths: [5, 1, 2], dropout: 0.5 }],
]

describe(`one step (seed ${SEED})`, () => {
  it('has the same values and gradients in float64 to 1e-9', () =>
    fc.assert(
      fc.asyncProperty(modelOptions, (options) => agrees(options, 'float64')),
      { seed: SEED, numRuns: 8 },
    ))

  it('has the same values and gradients in float32 to 1e-4', () =>
    fc.assert(
      fc.asyncProperty(modelOptions, (options) => agrees(options, 'float32')),
      { seed: SEED, numRuns: 6 },
    ))

  it.each(edges)('agrees in float64: %s', (_, change) => agrees(someOptions(change), 'float64'))
  it.each(edges)('agrees in float32: %s', (_, change) => agrees(someOptions(change), 'float32'))

  it('agrees without gates, where Θ and λ have no gradient', () => agrees(someOptions({ layers: 2 }), 'float64', 'open'))

  it('compares no tensor of zeros only', async () => {
    const rows = await compareStep(drawModel(someOptions()), { device: 'cpu', precision: 'float64' })
    expect(rows.map(({ quantity }) => quantity)).toEqual(
      expect.arrayContaining([
        'loss',
        'taskLoss',
        'orthogonality',
        '‖AAᵀ − I‖²',
        '‖BᵀB − I‖²',
        'density',
        'gates',
        'gradient of lambda',
        'gradient of logTheta',
        'gradient of classifier.out_proj.bias',
        ...['query', 'key', 'value'].flatMap((name) =>
          ['A', 'B'].map((factor) => `gradient of encoder.layer.0.attention.self.${name}.${factor}`),
        ),
      ]),
    )
    rows.forEach(({ size, reference, quantity }) => expect(size > 0 && reference !== 0, quantity).toBe(true))
  })
})
