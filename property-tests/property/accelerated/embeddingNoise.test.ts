/** NEFTune's noise has the scale of transformers', is a function of its draw, and leaves virtual tokens alone. The reference computes with it in `verify`. */
import { describe, expect, it } from 'vitest'
import { encoderModel } from '../../../accelerated/models/bert/bert.js'
import { packBatch, type VirtualTokens } from '../../../accelerated/models/packing.js'
import { findPrecision } from '../../../accelerated/settings/commonSettings.js'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { noiseFeeds } from '../../../accelerated/training/microBatchFeeds.js'
import { tiny } from '../../support/arbitraries/encoders.js'

const config = { ...tiny({ family: 'roberta', taskType: 'classification', seed: 1 }).config, hiddenSize: 32, embeddingSize: 32 }
const draw = (alpha: number | null, number: number, lengths: readonly number[], virtual?: VirtualTokens): readonly number[] => {
  const packed = packBatch(
    lengths.map((length) => ({ inputIds: new Int32Array(length).fill(5) })),
    ...([2, 'float64', virtual] as const),
  )
  const settings = resolveSettings({ neftuneAlpha: alpha, precision: 'float64' })
  const assembly = { settings, model: encoderModel(config), precision: findPrecision('float64') }
  return Array.from(noiseFeeds(assembly, packed, number)['embeddingNoise']?.data ?? [], Number)
}
const largest = (noise: readonly number[]): number => noise.reduce((most, x) => Math.max(most, Math.abs(x)), 0)

describe("NEFTune's noise", () => {
  it('is as large as that of transformers, whose longest text has as many tokens', () => {
    // transformers 5.24, torch.manual_seed(0): neftune_post_forward_hook(SimpleNamespace(training=True, neftune_noise_alpha=5.0), None, torch.zeros(64, 7, 32))
    const [theirLargest, theirDeviation] = [0.334038645029068, 0.19299934804439545]
    const noise = draw(5, 3, Array<number>(64).fill(7))
    expect(noise).toHaveLength(64 * 7 * 32)
    expect(largest(noise) / theirLargest).toBeCloseTo(1, 3)
    expect(Math.sqrt(noise.reduce((sum, x) => sum + x * x, 0) / noise.length) / theirDeviation).toBeCloseTo(1, 1)
    expect(largest(draw(5, 3, [...Array<number>(63).fill(2), 7])) / theirLargest).toBeCloseTo(1, 2)
  })

  it('is the same in the same draw alone, and none without its setting', () => {
    expect(draw(5, 3, [4, 2])).toEqual(draw(5, 3, [4, 2]))
    expect(draw(5, 3, [4, 2])).not.toEqual(draw(5, 4, [4, 2]))
    expect(draw(null, 3, [4, 2])).toEqual([])
  })

  it('is 0 for virtual tokens, which do not count as length', () => {
    const noise = draw(5, 3, [2, 3], { count: 4, at: 'embeddings' })
    const ofTokens = Array.from({ length: 6 + 7 }, (_, token) => largest(noise.slice(32 * token, 32 * (token + 1))))
    const bound = 5 / Math.sqrt(3 * 32)
    expect(ofTokens.map((size) => (size === 0 ? 0 : size > 0.8 * bound && size <= bound))).toEqual(
      [4, 2, 4, 3].flatMap((count, i) => Array<0 | boolean>(count).fill(i % 2 === 0 ? 0 : true)),
    )
  })
})
