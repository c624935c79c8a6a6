/** Ten whole training steps: parameters, both moments, Θ, λ and the density. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareSteps } from '../../evaluation/agreement/compareSteps.js'
import type { ModelOptions } from '../../evaluation/agreement/drawModel.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { SEED } from '../support/seed.js'
import { disagreements, modelOptions, someOptions } from './modelOptions.js'

const agrees = async (options: ModelOptions, dtype: 'float64' | 'float32'): Promise<void> => {
  expect(disagreements(await compareSteps(drawModel(options), { device: 'cpu', precision: dtype }, 10))).toEqual([])
}

describe(`ten training steps (seed ${SEED})`, () => {
  it('reach the same state in float64 to 1e-9', () =>
    fc.assert(
      fc.asyncProperty(modelOptions, (options) => agrees(options, 'float64')),
      { seed: SEED + 1, numRuns: 4 },
    ))

  it('reach the same state in float32 to 1e-4', () =>
    fc.assert(
      fc.asyncProperty(modelOptions, (options) => agrees(options, 'float32')),
      { seed: SEED + 1, numRuns: 4 },
    ))

  it.each<readonly [string, Partial<ModelOptions>]>([
    ['r = 1, one token, one example', { rank: 1, lengths: [1] }],
    ['clipping, plain steps of Θ and λ', { clip: 0.1, control: 'descent' }],
    ['equation (10): a constant λ', { control: 'constant' }],
    ["the paper's constants with Adam", { control: 'adam' }],
    ['the sum of the norms', { orthogonality: 'sum' }],
    ['all gates open', { gates: 'open' }],
  ])('agree in both dtypes: %s', async (_, change) => {
    await agrees(someOptions(change), 'float64')
    await agrees(someOptions(change), 'float32')
  })
})
