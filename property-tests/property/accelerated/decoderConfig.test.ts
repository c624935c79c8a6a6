/** config.json of a decoder: what each family's file means, and the mistakes in it. */
import { describe, expect, it } from 'vitest'
import { parseConfigFile } from '../../../accelerated/checkpoints/configFile.js'
import { rotaryFrequencies } from '../../../accelerated/models/layers/rotary.js'
import { frequencies } from '../../../reference/index.js'
import { assertClose } from '../../support/assertClose.js'
import { readDecoderConfig } from '../../support/decoderConfigs.js'

/** LLaMA-7B as its authors' conversion has it. */
const llama7B = {
  ...{ model_type: 'llama', vocab_size: 32_000, hidden_size: 4096, intermediate_size: 11_008, num_hidden_layers: 32 },
  ...{ num_attention_heads: 32, max_position_embeddings: 2048, rms_norm_eps: 1e-6, hidden_act: 'silu', pad_token_id: -1 },
}
const smol = {
  ...{ model_type: 'llama', vocab_size: 49_152, hidden_size: 576, intermediate_size: 1536, num_hidden_layers: 30 },
  ...{ num_attention_heads: 9, num_key_value_heads: 3, max_position_embeddings: 8192, rope_theta: 100_000, tie_word_embeddings: true },
}
/** Qwen3-0.6B */
const qwen3 = {
  ...{ model_type: 'qwen3', vocab_size: 151_936, hidden_size: 1024, intermediate_size: 3072, num_hidden_layers: 28 },
  ...{ num_attention_heads: 16, num_key_value_heads: 8, head_dim: 128, tie_word_embeddings: true },
}
/** Gemma-2-2B and Gemma-3-1B as Google's files have them. */
const gemma2 = {
  ...{ model_type: 'gemma2', vocab_size: 256_000, hidden_size: 2304, intermediate_size: 9216, num_hidden_layers: 26 },
  ...{ num_attention_heads: 8, num_key_value_heads: 4, head_dim: 256, hidden_act: 'gelu_pytorch_tanh', query_pre_attn_scalar: 256 },
  ...{ hidden_activation: 'gelu_pytorch_tanh', attn_logit_softcapping: 50, final_logit_softcapping: 30, sliding_window: 4096 },
}
const gemma3 = {
  ...{ model_type: 'gemma3_text', vocab_size: 262_144, hidden_size: 1152, intermediate_size: 6912, num_hidden_layers: 26 },
  ...{ num_attention_heads: 4, num_key_value_heads: 1, head_dim: 256, hidden_activation: 'gelu_pytorch_tanh', rope_scaling: null },
  ...{ rope_theta: 1_000_000, rope_local_base_freq: 10_000, sliding_window: 512, sliding_window_pattern: 6, attn_logit_softcapping: null },
}
const read = readDecoderConfig
const count = (shapes: Iterable<readonly number[]>): number =>
  [...shapes].reduce((total, shape) => total + shape.reduce((a, b) => a * b, 1), 0)

describe("a decoder's config.json", () => {
  it('has the published numbers of parameters of LLaMA-7B, SmolLM2-135M, Qwen3-0.6B, Gemma-2-2B and Gemma-3-1B', () => {
    const parameters = (json: object): number => {
      const { spec, causalHead } = parseConfigFile(JSON.stringify(json), 'config.json').model
      return count(spec.tensors.values()) + count(causalHead?.().frozen.values() ?? [])
    }
    expect(parameters(llama7B)).toBe(6_738_415_616)
    expect(parameters(smol)).toBe(134_515_008)
    expect(parameters(qwen3)).toBe(596_049_920)
    expect(parameters(gemma2)).toBe(2_614_341_888)
    expect(parameters(gemma3)).toBe(999_885_952)
  })

  it('gives LLaMA-7B 224 matrices: at rank 8, 19,988,480 parameters and 1,792 gates', () => {
    const { matrices } = parseConfigFile(JSON.stringify(llama7B), 'config.json').model.spec
    expect(matrices.reduce((total, { d, k }) => total + 8 * (d + k), 0)).toBe(19_988_480)
    expect(8 * matrices.length).toBe(1792)
  })

  it('has the defaults of its class for absent keys', () => {
    expect(read(llama7B)).toMatchObject({
      ...{ keyValueHeads: 32, headSize: 128, rotaryBase: 10_000, rotaryScaling: null, tied: false, paddingIndex: 0 },
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

  it('has what SmolLM3, OLMo 2, Ministral and Gemma 1 have beside LLaMA, with the defaults of transformers', () => {
    const { num_key_value_heads: _, ...others } = smol
    const { rotated, keyValueHeads } = read({ ...others, model_type: 'smollm3', num_attention_heads: 16, head_dim: 64 })
    expect([rotated?.slice(0, 8), keyValueHeads]).toEqual([[true, true, true, false, true, true, true, false], 4])
    const layers = { ...smol, model_type: 'smollm3', num_hidden_layers: 2, no_rope_layers: [0, 1] }
    expect(read({ ...layers, use_sliding_window: true, sliding_window: 9 })).toMatchObject({ rotated: [false, true], windows: [9, null] })
    expect(() => read({ ...layers, no_rope_layers: [1] })).toThrow('expected no_rope_layers of 2 layers, got 1')
    expect(read({ ...others, model_type: 'olmo2' })).toMatchObject({
      rmsNormEpsilon: 1e-5,
      queryKeyNorms: 'together',
    })
    const windows = (more: object) => read({ ...smol, num_hidden_layers: 2, model_type: 'ministral', ...more }).windows
    expect(windows({})).toEqual([4096, 4096])
    expect(windows({ sliding_window: null })).toEqual([null, null])
    expect(windows({ sliding_window: 7, layer_types: ['full_attention', 'sliding_attention'] })).toEqual([null, 7])
    const gemma1 = { ...gemma2, model_type: 'gemma', hidden_act: 'gelu', hidden_activation: undefined }
    expect(read(gemma1)).toMatchObject({
      ...{ activation: 'gelu_pytorch_tanh', embeddingScale: 48, normOffset: 1, scoreScale: null, scoreCap: null, logitCap: null },
      ...{ windows: new Array(26).fill(null), headSize: 256, tied: true },
    })
  })

  it("has Gemma's scales, caps, windows and rotations, and transformers' defaults of them", () => {
    expect(read(gemma2)).toMatchObject({
      ...{ normOffset: 1, activation: 'gelu_pytorch_tanh', embeddingScale: 48, scoreScale: 1 / 16, scoreCap: 50, logitCap: 30 },
      ...{ queryKeyNorms: false, tied: true, rotaryBase: 10_000, localRotary: null, maxPositions: 8192 },
    })
    expect(read(gemma2).windows.slice(0, 3)).toEqual([4096, null, 4096])
    expect(read(gemma3)).toMatchObject({
      ...{ normOffset: 1, embeddingScale: Math.fround(Math.sqrt(1152)), scoreScale: 1 / 16, scoreCap: null, logitCap: null },
      ...{ queryKeyNorms: true, tied: true, rotaryBase: 1_000_000, rotaryScaling: null, maxPositions: 131_072 },
      localRotary: { rotaryBase: 10_000, rotaryScaling: null },
    })
    const seventh = Array.from({ length: 12 }, (_, layer) => (layer === 5 || layer === 11 ? null : 512))
    expect(read({ ...gemma3, num_hidden_layers: 12 }).windows).toEqual(seventh)
    const named = { num_hidden_layers: 2, layer_types: ['full_attention', 'sliding_attention'] }
    for (const json of [gemma2, gemma3]) expect(read({ ...json, ...named }).windows[0]).toBeNull()
    expect(read({ ...gemma2, attn_logit_softcapping: null, final_logit_softcapping: null })).toMatchObject({
      scoreCap: null,
      logitCap: null,
    })
    expect(read({ ...gemma3, attn_logit_softcapping: 7, final_logit_softcapping: 9 })).toMatchObject({ scoreCap: null, logitCap: 9 })
    expect(read({ ...smol, attn_logit_softcapping: 7, query_pre_attn_scalar: 9 })).toMatchObject({ scoreCap: null, scoreScale: null })
  })

  it('has the rotation of each kind of layer of Gemma 3, by the older keys and the newer ones', () => {
    const linear = { rotaryBase: 5e5, rotaryScaling: { kind: 'linear', factor: 8 }, localRotary: { rotaryBase: 70, rotaryScaling: null } }
    const { rope_theta: _, rope_local_base_freq: __, rope_scaling: ___, ...without } = gemma3
    const older = { rope_theta: 5e5, rope_local_base_freq: 70, rope_scaling: { rope_type: 'linear', factor: 8 } }
    const newer = {
      full_attention: { rope_type: 'linear', factor: 8, rope_theta: 5e5 },
      sliding_attention: { rope_type: 'default', rope_theta: 70 },
    }
    expect(read({ ...without, ...older })).toMatchObject(linear)
    expect(read({ ...without, rope_parameters: newer })).toMatchObject(linear)
    expect(read(without)).toMatchObject({ rotaryBase: 1_000_000, localRotary: { rotaryBase: 10_000, rotaryScaling: null } })
  })

  it.each([
    [{ hidden_activation: 'silu' }, 'hidden_activation gelu_pytorch_tanh, got "silu"'],
    [{ sliding_window: null }, 'a sliding_window, got null'],
    [{ use_bidirectional_attention: true }, 'a decoder, whose tokens see only earlier ones, got use_bidirectional_attention true'],
    [{ layer_types: ['full_attention'] }, 'layer_types of 26 layers, got 1'],
  ])('refuses Gemma 3 with %j', (change, message) =>
    expect(() => read({ ...gemma3, ...change })).toThrow(`config.json: expected ${message}`),
  )

  it('names Gemma 3 of text alone where a file has images too, and the nearest family of an unknown one', () => {
    const refusal = (type: string) => () => parseConfigFile(JSON.stringify({ model_type: type, text_config: gemma3 }), 'config.json')
    expect(refusal('gemma3')).toThrow(
      'config.json: expected model_type gemma3_text, a model of text alone (one of images and text is not read), got "gemma3"',
    )
    expect(refusal('qwen')).toThrow('(the supported families; "qwen2" is the nearest), got "qwen"')
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
    for (const scaling of [null, { type: 'linear', factor: 4 }, llama3]) {
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
    [{ rope_scaling: { rope_type: 'dynamic', factor: 2 } }, 'rope_type whose rotation does not depend on the longest text of a batch'],
    [{ rope_scaling: { rope_type: 'longrope', factor: 4 } }, 'rope_type of default, linear (with factor), llama3'],
    [{ rope_theta: 1, rope_scaling: { rope_type: 'yarn', factor: 4 } }, 'or yarn (with rope_theta above 1)'],
    [{ rope_scaling: { rope_type: 'linear' } }, 'rope_type of default, linear (with factor)'],
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
