/** config.json of a decoder: what each family's file means, and the mistakes in it. */
import { describe, expect, it } from 'vitest'
import { decoderConfig } from '../../../accelerated/models/llama/config.js'
import { llamaArchitecture } from '../../../accelerated/models/llama/llama.js'
import { rotaryFrequencies } from '../../../accelerated/models/layers/rotary.js'
import { frequencies } from '../../../reference/index.js'
import { assertClose } from '../../support/assertClose.js'

/** LLaMA-7B as its authors' conversion has it. */
const llama7B = {
  model_type: 'llama',
  vocab_size: 32_000,
  hidden_size: 4096,
  intermediate_size: 11_008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-6,
  hidden_act: 'silu',
  pad_token_id: -1,
}
const smol = {
  model_type: 'llama',
  vocab_size: 49_152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  max_position_embeddings: 8192,
  rope_theta: 100_000,
  tie_word_embeddings: true,
}
/** Qwen3-0.6B */
const qwen3 = {
  model_type: 'qwen3',
  vocab_size: 151_936,
  hidden_size: 1024,
  intermediate_size: 3072,
  num_hidden_layers: 28,
  num_attention_heads: 16,
  num_key_value_heads: 8,
  head_dim: 128,
  tie_word_embeddings: true,
}
const read = (json: object) => decoderConfig(json, 'config.json')
const count = (shapes: Iterable<ReadonlyArray<number>>): number =>
  [...shapes].reduce((total, shape) => total + shape.reduce((a, b) => a * b, 1), 0)

describe("a decoder's config.json", () => {
  it('has the published numbers of parameters: 6,738,415,616 for LLaMA-7B and 134,515,008 for SmolLM2-135M, 596,049,920 for Qwen3-0.6B, including an untied output matrix', () => {
    const parameters = (json: object): number => {
      const { spec, causalHead } = llamaArchitecture.open(json, 'config.json')
      return count(spec.tensors.values()) + count(causalHead?.().frozen.values() ?? [])
    }
    expect(parameters(llama7B)).toBe(6_738_415_616)
    expect(parameters(smol)).toBe(134_515_008)
    expect(parameters(qwen3)).toBe(596_049_920)
  })

  it('gives LLaMA-7B 224 matrices: at rank 8, 19,988,480 parameters and 1,792 gates', () => {
    const { matrices } = llamaArchitecture.open(llama7B, 'config.json').spec
    expect(matrices.reduce((total, { d, k }) => total + 8 * (d + k), 0)).toBe(19_988_480)
    expect(8 * matrices.length).toBe(1792)
  })

  it('has the defaults of its class for absent keys', () => {
    expect(read(llama7B)).toMatchObject({
      keyValueHeads: 32,
      headSize: 128,
      rotaryBase: 10_000,
      rotaryScaling: null,
      tied: false,
      paddingIndex: 0,
    })
    expect(read(smol)).toMatchObject({ keyValueHeads: 3, headSize: 64, rotaryBase: 100_000, tied: true })
    expect(read({ ...llama7B, head_dim: 96 }).headSize).toBe(96)
    expect(read({ ...llama7B, rope_parameters: { rope_type: 'default', rope_theta: 7 } }).rotaryBase).toBe(7)
  })

  it("has the family's windows: Mistral in all layers, Qwen2 in the upper ones if enabled", () => {
    const windows = (more: object) => read({ ...smol, num_hidden_layers: 3, ...more }).windows
    expect(windows({ sliding_window: 5 })).toEqual([null, null, null])
    expect(windows({ model_type: 'mistral' })).toEqual([4096, 4096, 4096])
    expect(windows({ model_type: 'mistral', sliding_window: null })).toEqual([null, null, null])
    expect(windows({ model_type: 'qwen2', sliding_window: 5 })).toEqual([null, null, null])
    expect(windows({ model_type: 'qwen2', sliding_window: 5, use_sliding_window: true, max_window_layers: 1 })).toEqual([null, 5, 5])
    expect(windows({ model_type: 'qwen2', use_sliding_window: true, max_window_layers: 2 })).toEqual([null, null, 4096])
    const types = { layer_types: ['sliding_attention', 'full_attention', 'sliding_attention'] } // before max_window_layers, as in transformers 5.24
    expect(windows({ model_type: 'qwen2', sliding_window: 5, use_sliding_window: true, ...types })).toEqual([5, null, 5])
    expect(windows({ model_type: 'qwen2', sliding_window: 5, ...types })).toEqual([null, null, null])
    expect(() => windows({ model_type: 'qwen2', layer_types: ['full_attention'] })).toThrow('expected layer_types of 3 layers, got 1')
    expect(windows({ model_type: 'qwen3', sliding_window: 5, use_sliding_window: true, ...types })).toEqual([5, null, 5])
    expect(windows({ model_type: 'qwen3', sliding_window: 5, max_window_layers: 1 })).toEqual([null, null, null])
  })

  it('has norms of queries and keys, and heads of 128 where the file gives no size, in Qwen3 alone', () => {
    const { queryKeyNorms, headSize } = read({ ...smol, model_type: 'qwen3' })
    expect([queryKeyNorms, headSize]).toEqual([true, 128])
    expect(read({ ...smol, model_type: 'qwen3', head_dim: 32 }).headSize).toBe(32)
    for (const family of ['llama', 'mistral', 'qwen2']) {
      const { queryKeyNorms, headSize } = read({ ...smol, model_type: family })
      expect([queryKeyNorms, headSize], family).toEqual([false, 64])
    }
  })

  it("has the family's biases", () => {
    expect(read(smol).biases).toEqual({ queryKeyValue: false, attentionOutput: false, feedForward: false })
    expect(read({ ...smol, attention_bias: true, mlp_bias: true }).biases).toEqual({
      queryKeyValue: true,
      attentionOutput: true,
      feedForward: true,
    })
    expect(read({ ...smol, model_type: 'qwen2' }).biases).toEqual({ queryKeyValue: true, attentionOutput: false, feedForward: false })
    expect(read({ ...smol, model_type: 'qwen3' }).biases).toEqual({ queryKeyValue: false, attentionOutput: false, feedForward: false })
    expect(read({ ...smol, model_type: 'qwen3', attention_bias: true }).biases).toEqual({
      queryKeyValue: true,
      attentionOutput: true,
      feedForward: false,
    })
  })

  it("has the reference's rotary frequencies under every scaling", () => {
    const llama3 = { rope_type: 'llama3', factor: 32, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 }
    for (const scaling of [null, { type: 'linear', factor: 4 }, { rope_type: 'dynamic', factor: 2 }, llama3]) {
      const config = read({ ...llama7B, rope_theta: 500_000, rope_scaling: scaling })
      const expected = frequencies({ headSize: config.headSize, base: config.rotaryBase, scaling: config.rotaryScaling })
      assertClose(rotaryFrequencies(config), expected, { relative: 1e-15 })
    }
  })

  it.each([
    [{ num_key_value_heads: 5 }, 'num_key_value_heads that divides num_attention_heads 9, got 5'],
    [{ num_attention_heads: 7, num_key_value_heads: 7 }, 'num_attention_heads that divides hidden_size 576 (or head_dim), got 7'],
    [{ head_dim: 63 }, 'heads of an even size, whose halves are turned against each other, got 63'],
    [{ hidden_act: 'gelu' }, 'hidden_act'],
    [{ rope_scaling: { rope_type: 'longrope', factor: 4 } }, 'rope_type of default, dynamic, linear (with factor), llama3'],
    [{ rope_theta: 1, rope_scaling: { rope_type: 'yarn', factor: 4 } }, 'or yarn (with rope_theta above 1)'],
    [{ rope_scaling: { rope_type: 'linear' } }, 'rope_type of default, dynamic, linear (with factor)'],
    [
      { rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 4, high_freq_factor: 4, original_max_position_embeddings: 9 } },
      'low_freq_factor below high_freq_factor',
    ],
    [{ vocab_size: 0 }, 'vocab_size'],
    [{ num_hidden_layers: 1e9 }, 'num_hidden_layers'],
  ])('refuses %j in one line', (change, message) => {
    const refusal = () => read({ ...smol, ...change })
    expect(refusal).toThrow(message)
    expect(refusal).toThrow(/^config\.json: expected [^\n]+, got [^\n]+$/)
  })
})
