/** config.json of Phi-3 and Phi-4: sizes, the part of a head that is turned, LongRoPE's factors, and the settings that are refused by name. */
import { describe, expect, it } from 'vitest'
import { constant, input } from '../../../accelerated/graph/operators.js'
import { ggufConfig } from '../../../accelerated/checkpoints/gguf/convertModel.js'
import { rotaryFrequencies, rotateHeads } from '../../../accelerated/models/layers/rotary.js'
import { openPhi3, phi3Gguf, phi3Architecture } from '../../../accelerated/models/phi3/phi3.js'
import {
  fusedDecoder,
  fusedDecoderModules,
  named,
  normal,
  sum,
  multiply,
  type DecoderConfig,
  type Tensor,
} from '../../../reference/index.js'
import { assertClose } from '../../support/assertClose.js'
import { directional } from '../../support/finiteDifference.js'
import { withGraph } from '../../support/runGraph.js'

const phi3Mini = { model_type: 'phi3', pad_token_id: 32_000, sliding_window: 2047 }
const pairs = (factor: number): readonly number[] => Array.from({ length: 48 }, (_, i) => factor + i)
const phi4Mini = {
  ...{ model_type: 'phi3', vocab_size: 200_064, num_attention_heads: 24, num_key_value_heads: 8, tie_word_embeddings: true },
  ...{ max_position_embeddings: 131_072, original_max_position_embeddings: 4_096, partial_rotary_factor: 0.75, sliding_window: 262_144 },
  rope_scaling: { type: 'longrope', short_factor: pairs(1), long_factor: pairs(2) },
}
const phi3Config = (json: object, where: string) => openPhi3(json, where).config
const read = (more: object) => phi3Config({ ...phi4Mini, ...more }, 'config.json')

describe("Phi-3's config.json", () => {
  it('has the published numbers of parameters: 3,821,079,552 for Phi-3-mini, 3,836,021,760 for Phi-4-mini, and four matrices a layer', () => {
    const parameters = (json: object): number => {
      const { spec, causalHead } = phi3Architecture.open(json, 'config.json')
      const shapes = [...spec.tensors.values(), ...(causalHead?.().frozen.values() ?? [])]
      return shapes.reduce((total, shape) => total + shape.reduce((a, b) => a * b, 1), 0)
    }
    expect([parameters(phi3Mini), parameters(phi4Mini)]).toEqual([3_821_079_552, 3_836_021_760])
    const { matrices } = phi3Architecture.open(phi4Mini, 'config.json').spec
    expect(matrices.slice(0, 4)).toEqual([
      { name: 'layers.0.self_attn.qkv_proj', d: 5120, k: 3072 },
      { name: 'layers.0.self_attn.o_proj', d: 3072, k: 3072 },
      { name: 'layers.0.mlp.gate_up_proj', d: 16_384, k: 3072 },
      { name: 'layers.0.mlp.down_proj', d: 3072, k: 8192 },
    ])
    expect(matrices).toHaveLength(128)
  })

  it('turns the first three quarters of a head, by the short factors, in texts within the original positions', () => {
    const { config, longRope } = openPhi3(phi4Mini, 'config.json')
    expect(config).toMatchObject({ headSize: 128, rotarySize: 96, maxPositions: 4096, rotaryBase: 10_000, tied: true })
    const attentionFactor = Math.sqrt(1 + Math.log(32) / Math.log(4096))
    expect(config.rotaryScaling).toEqual({ kind: 'longrope', factors: pairs(1), attentionFactor })
    expect(longRope).toMatchObject({ long: pairs(2), positions: 131_072, originalPositions: 4096 })
    const frequencies = rotaryFrequencies({ ...config, headSize: 96 })
    expect(frequencies[7]).toBeCloseTo(10_000 ** (-14 / 96) / 8, 15)
  })

  it('has a window in every layer, or none, and the older names of LongRoPE', () => {
    expect(phi3Config(phi3Mini, 'f').windows).toEqual(new Array(32).fill(2047))
    expect(read({ sliding_window: null }).windows[0]).toBeNull()
    const scaling = { type: 'su', short_factor: pairs(1), long_factor: pairs(2), attention_factor: 1.5 }
    expect(read({ rope_scaling: scaling }).rotaryScaling).toMatchObject({ kind: 'longrope', attentionFactor: 1.5 })
    expect(phi3Config({ ...phi3Mini, rope_scaling: null }, 'f')).toMatchObject({ rotaryScaling: null, rotarySize: 96, maxPositions: 4096 })
  })

  it.each([
    [{ num_key_value_heads: 7 }, 'expected num_key_value_heads that divides num_attention_heads 24, got 7'],
    [{ num_attention_heads: 7, num_key_value_heads: 7 }, 'expected num_attention_heads that divides hidden_size 3072 (or head_dim), got 7'],
    [{ partial_rotary_factor: 0.26 }, 'expected a partial_rotary_factor that gives an even part of the 128 numbers of a head, got 33'],
    [
      { rope_scaling: { type: 'linear', factor: 2 } },
      'expected a rope_type of default or longrope (with short_factor and long_factor of 48',
    ],
    [{ rope_scaling: { type: 'longrope', short_factor: [1], long_factor: pairs(1) } }, 'got longrope with 1 and 48'],
    [{ resid_pdrop: 0.1 }, 'resid_pdrop'],
    [{ embd_pdrop: 0.1 }, 'embd_pdrop'],
    [{ attention_bias: true }, 'attention_bias'],
    [{ hidden_act: 'gelu' }, 'hidden_act'],
  ])('refuses %o', (more, message) => {
    expect(() => read(more)).toThrow(message)
  })

  it('has the short context and both lists of factors in GGUF, and comes back from it', () => {
    const { keys: written, factors } = phi3Gguf.write(phi4Mini, 'config.json')
    const keys = new Map<string, string | number>(written.map(([key, { value }]) => [`phi3.${key}`, value as number]))
    expect(keys.get('phi3.context_length')).toBe(4096)
    expect(keys.get('phi3.rope.dimension_count')).toBe(96)
    expect(Object.keys(factors)).toEqual(['rope_factors_long.weight', 'rope_factors_short.weight'])
    const numbers = new Map(Object.entries(factors).map(([name, list]) => [name, Float32Array.from(list)]))
    const header = { keys: new Map<string, string | number>([...keys, ['general.architecture', 'phi3']]), tensors: new Map() }
    const back = { ...ggufConfig(header, numbers, 'f'), vocab_size: 200_064, tie_word_embeddings: true }
    const { windows: _, ...config } = phi3Config(back, 'f')
    const { windows: __, ...before } = phi3Config(phi4Mini, 'f')
    expect(config).toEqual(before)
  })
})

describe('a part of each head', () => {
  it('is turned, and the rest is left', async () => {
    const angles = { cosine: constant([0, 0], [2, 1], 'float32'), sine: constant([1, 1], [2, 1], 'float32') } // a quarter turn
    const x = { data: Float32Array.from({ length: 16 }, (_, i) => i + 1), shape: [2, 8] }
    const { y } = await withGraph({ y: rotateHeads(input('x', [2, 8], 'float32'), 2, angles) }, (run) => run({ x }))
    expect([...(y ?? [])]).toEqual([-2, 1, 3, 4, -6, 5, 7, 8, -10, 9, 11, 12, -14, 13, 15, 16])
  })
})

describe('the reference with fused matrices', () => {
  const config: DecoderConfig = {
    ...{ family: 'decoder', vocabularySize: 9, hiddenSize: 6, layers: 1, heads: 2, keyValueHeads: 1, headSize: 4, intermediateSize: 5 },
    ...{ rmsNormEpsilon: 1e-5, rotaryBase: 100, rotarySize: 2, rotaryScaling: { kind: 'longrope', factors: [1.5], attentionFactor: 1.2 } },
    ...{ localRotary: null, outputNorms: false, normOffset: 0, activation: 'silu', embeddingScale: 1 },
    ...{ scoreScale: null, scoreCap: null, logitCap: null },
    ...{ windows: [null], biases: { queryKeyValue: false, attentionOutput: false, feedForward: false }, queryKeyNorms: false, tied: true },
    taskType: 'causal',
  }
  const shapes: Readonly<Record<string, readonly number[]>> = {
    'embed_tokens.weight': [9, 6],
    'norm.weight': [6],
    'layers.0.input_layernorm.weight': [6],
    'layers.0.post_attention_layernorm.weight': [6],
    'layers.0.self_attn.qkv_proj.weight': [16, 6],
    'layers.0.self_attn.o_proj.weight': [6, 8],
    'layers.0.mlp.gate_up_proj.weight': [10, 6],
    'layers.0.mlp.down_proj.weight': [6, 5],
  }
  const random = (shape: readonly number[], seed: number): Tensor => normal(shape, 0.5)(seed)[0]

  it('has the gradients of finite differences, for every tensor', () => {
    const base = Object.fromEntries(Object.entries(shapes).map(([name, shape], i) => [name, random(shape, i + 1)]))
    const modules = fusedDecoderModules(config)
    expect(modules.map((name) => name.replace('layers.0.', ''))).toEqual([
      'self_attn.qkv_proj',
      'self_attn.o_proj',
      'mlp.gate_up_proj',
      'mlp.down_proj',
    ])
    const adapters = Object.fromEntries(
      modules.map((name, i) => {
        const [d = 0, k = 0] = shapes[`${name}.weight`] ?? []
        return [name, { A: random([2, k], 20 + i), B: random([d, 2], 30 + i) }]
      }),
    )
    const gates = Object.fromEntries(modules.map((name, i) => [name, random([2], 40 + i)]))
    const operands = { base, adapters, gates, head: {} }
    const logitsBar = random([4, 9], 50)
    const run = fusedDecoder(config, { scale: 1.5, baseGradients: true })
    const inputIds = [[3, 1, 4], [5]]
    const forward = (changed: typeof operands): number => sum(multiply(logitsBar, run(changed, { inputIds }).logits))
    const found = run(operands, { inputIds }).pullback(logitsBar)
    const along = (name: string, x: Tensor, actual: Tensor, put: (x: Tensor) => typeof operands): void => {
      const direction = random(x.shape, 60)
      const expected = directional((y) => forward(put(y)), x, direction)
      assertClose([sum(multiply(actual, direction))], [expected], { relative: 1e-7, absolute: 1e-8, name })
    }
    for (const [name, x] of Object.entries(base))
      along(name, x, named(found.base, name), (y) => ({ ...operands, base: { ...base, [name]: y } }))
    for (const [name, own] of Object.entries(adapters)) {
      for (const factor of ['A', 'B'] as const)
        along(`${name}.${factor}`, own[factor], found.adapters[name]![factor], (y) => ({
          ...operands,
          adapters: { ...adapters, [name]: { ...own, [factor]: y } },
        }))
      along(`${name}.g`, named(gates, name), named(found.gates, name), (y) => ({ ...operands, gates: { ...gates, [name]: y } }))
    }
  })
})
