/** SaLoRA on a decoder with the loss of a language model: hand-derived against automatic, on models drawn at random. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareStep, compareSteps } from '../../evaluation/agreement/compareSteps.js'
import type { DecoderOptions } from '../../evaluation/agreement/drawModel.js'
import { drawDecoder } from '../../evaluation/agreement/drawModel.js'
import { SEED } from '../support/seed.js'
import { decoderOptions, disagreements, someDecoder } from './modelOptions.js'

const agrees = async (options: DecoderOptions, dtype: 'float64' | 'float32', gating: 'sampled' | 'open' = 'sampled'): Promise<void> => {
  expect(disagreements(await compareStep(drawDecoder(options), { device: 'cpu', precision: dtype }, gating))).toEqual([])
}

const edges: readonly (readonly [string, Partial<DecoderOptions>])[] = [
  ['one token, one example, r = 1', { lengths: [1], rank: 1 }],
  ['one head of keys for four of queries', { keyValueHeads: 1 }],
  ['as many heads of keys as of queries', { keyValueHeads: 4 }],
  ['a window of one token', { window: 1, lengths: [5, 2] }],
  ['a window of two tokens', { window: 2, lengths: [5, 2] }],
  ['biases everywhere, tied', { tied: true, biases: { queryKeyValue: true, attentionOutput: true, feedForward: true } }],
  ['all gates shut', { gates: 'shut' }],
]

describe(`a decoder's step (seed ${SEED})`, () => {
  it('has the same values and gradients in float64 to 1e-9', () =>
    fc.assert(
      fc.asyncProperty(decoderOptions, (options) => agrees(options, 'float64')),
      { seed: SEED, numRuns: 8 },
    ))

  it('has the same values and gradients in float32 to 1e-4', () =>
    fc.assert(
      fc.asyncProperty(decoderOptions, (options) => agrees(options, 'float32')),
      { seed: SEED, numRuns: 5 },
    ))

  it.each(edges)('agrees in float64: %s', (_, change) => agrees(someDecoder(change), 'float64'))

  it('agrees without gates', () => agrees(someDecoder(), 'float64', 'open'))

  it('compares non-zero numbers of all seven matrices', async () => {
    const rows = await compareStep(drawDecoder(someDecoder()), { device: 'cpu', precision: 'float64' })
    const matrices = 'self_attn.q_proj self_attn.k_proj self_attn.v_proj self_attn.o_proj mlp.gate_proj mlp.up_proj mlp.down_proj'.split(
      ' ',
    )
    expect(rows.map(({ quantity }) => quantity)).toEqual(
      expect.arrayContaining([
        'taskLoss',
        'density',
        'gradient of logTheta',
        ...matrices.flatMap((name) => ['A', 'B'].map((factor) => `gradient of layers.1.${name}.${factor}`)),
      ]),
    )
    rows.forEach(({ size, reference, quantity }) => expect(size > 0 && reference !== 0, quantity).toBe(true))
  })
})

describe(`ten steps of a decoder (seed ${SEED})`, () => {
  it.each(['float64', 'float32'] as const)('end in the same parameters and moments in %s', async (dtype) => {
    const options = someDecoder({ keyValueHeads: 2, rotaryScaling: { kind: 'linear', factor: 2 }, clip: 0.5 })
    expect(disagreements(await compareSteps(drawDecoder(options), { device: 'cpu', precision: dtype }, 10))).toEqual([])
  })
})
