/** config.json and files of GPT-2 and OPT: their sizes, the names and orientation of their tensors, and the settings that are refused by name. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { writeSafetensors } from '../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { findLlamaCppObstacle } from '../../../accelerated/formats/gguf/ggufAdapter.js'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { weight } from '../../../accelerated/graph/operators.js'
import { batchInputs } from '../../../accelerated/models/batchInputs.js'
import { plainHost } from '../../../accelerated/models/host.js'
import { gpt2Config, gpt2Architecture, gpt2Gguf } from '../../../accelerated/models/gpt2/gpt2.js'
import { optArchitecture, optConfig } from '../../../accelerated/models/opt/opt.js'
import { causalOutputs } from '../../../accelerated/models/modelOutputs.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('gpt-config')

/** As the hub's file of the smallest GPT-2 has it; other keys have their defaults. */
const small = { model_type: 'gpt2', vocab_size: 50_257, n_embd: 768, n_layer: 12, n_head: 12, n_positions: 1024 }
const tiny = { model_type: 'gpt2', vocab_size: 5, n_embd: 4, n_layer: 1, n_head: 2, n_positions: 3 }
const read = (more: object) => gpt2Config({ ...small, ...more }, 'config.json')

describe("GPT-2's config.json", () => {
  it('has the published number of parameters, 124,439,808, and 48 matrices, one for queries, keys and values', () => {
    const { spec, causalHead } = gpt2Architecture.open(small, 'config.json')
    const count = [...spec.tensors.values()].reduce((total, shape) => total + shape.reduce((a, b) => a * b, 1), 0)
    expect(count).toBe(124_439_808)
    expect(causalHead?.().frozen.size).toBe(0)
    expect(spec.matrices.slice(0, 4)).toEqual([
      { name: 'h.0.attn.c_attn', d: 2304, k: 768 },
      { name: 'h.0.attn.c_proj', d: 768, k: 768 },
      { name: 'h.0.mlp.c_fc', d: 3072, k: 768 },
      { name: 'h.0.mlp.c_proj', d: 768, k: 3072 },
    ])
    expect([spec.matrices.length, spec.maxPositions]).toEqual([48, 1024])
  })

  it('has the defaults of its class: four times as wide within, dropout 0.1, the tanh form of GELU, and a tied output matrix', () => {
    expect(read({ n_inner: null })).toMatchObject({
      intermediateSize: 3072,
      activation: 'gelu_tanh',
      tied: true,
      paddingIndex: 0,
      dropouts: { embeddings: 0.1, attention: 0.1, residual: 0.1 },
    })
    expect(read({ n_inner: 10, activation_function: 'relu', pad_token_id: 7 })).toMatchObject({
      intermediateSize: 10,
      activation: 'relu',
      paddingIndex: 7,
    })
    const { causalHead } = gpt2Architecture.open({ ...small, tie_word_embeddings: false }, 'config.json')
    expect([...(causalHead?.().frozen ?? [])]).toEqual([['lm_head.weight', [50_257, 768]]])
  })

  it.each([
    [{ n_head: 7 }, 'expected n_head that divides n_embd 768, got 7'],
    [{ scale_attn_by_inverse_layer_idx: true }, 'scale_attn_by_inverse_layer_idx'],
    [{ scale_attn_weights: false }, 'scale_attn_weights'],
    [{ reorder_and_upcast_attn: true }, 'reorder_and_upcast_attn'],
    [{ add_cross_attention: true }, 'add_cross_attention'],
    [{ activation_function: 'silu' }, 'activation_function'],
    [{ attn_pdrop: 1 }, 'attn_pdrop'],
  ])('refuses %o', (more, message) => {
    expect(() => read(more)).toThrow(message)
  })

  it('is refused for GGUF with another activation, which llama.cpp would ignore', () => {
    expect(() => gpt2Gguf.write({ ...small, activation_function: 'gelu' }, 'config.json')).toThrow(
      'config.json: expected activation_function "gelu_new", for GGUF, got "gelu"',
    )
  })
})

describe("GPT-2's files", () => {
  it('open with the names of old checkpoints, which have no prefix and the mask of later tokens', async () => {
    const { spec } = gpt2Architecture.open(tiny, 'config.json')
    const tensors = [...spec.tensors].map(([name, shape], i) => {
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, j) => i + j)
      return [name, { shape: /c_\w+\.weight$/.test(name) ? shape.toReversed() : shape, data }] as const
    })
    const mask = { shape: [1, 1, 3, 3], data: new Float32Array(9) }
    const buffers = [['h.0.attn.bias', mask] as const, ['h.0.attn.masked_bias', { shape: [1], data: Float32Array.of(-1e4) }] as const]
    writeFileSync(join(folder, 'config.json'), JSON.stringify(tiny))
    writeFileSync(join(folder, 'model.safetensors'), writeSafetensors(new Map([...tensors, ...buffers])))
    const { tensors: opened } = await openModelFolder(folder)
    expect(new Set(opened.keys())).toEqual(new Set(spec.tensors.keys()))
    const wide = opened.get('h.0.attn.c_attn.weight')!
    const [first] = new Map(tensors).get('h.0.attn.c_attn.weight')!.data
    expect(wide.shape).toEqual([12, 4])
    expect([...(await readTensor(wide)).slice(0, 4)]).toEqual([0, 12, 24, 36].map((place) => place + (first ?? NaN)))
    expect(opened.get('h.0.attn.c_attn.bias')?.shape).toEqual([12])
  })
})

describe("OPT's config.json", () => {
  const smallest = { model_type: 'opt' }
  const readOpt = (more: object) => optConfig({ ...smallest, ...more }, 'config.json')

  it('has the published number of parameters, 125,239,296, and positions from the third row on', () => {
    const { spec } = optArchitecture.open(smallest, 'config.json')
    const count = [...spec.tensors.values()].reduce((total, shape) => total + shape.reduce((a, b) => a * b, 1), 0)
    expect(count).toBe(125_239_296)
    expect([spec.maxPositions, spec.tensors.get('decoder.embed_positions.weight')]).toEqual([2048, [2050, 768]])
    expect(spec.matrices.slice(0, 3).map(({ name, d }) => [name.replace('decoder.layers.0.', ''), d])).toEqual([
      ['self_attn.q_proj', 768],
      ['self_attn.k_proj', 768],
      ['self_attn.v_proj', 768],
    ])
  })

  it('is refused for llama.cpp by name', () => {
    const given = { model: optArchitecture.open(smallest, 'config.json'), outputs: causalOutputs }
    expect(findLlamaCppObstacle(given)).toBe('a model of type opt, whose layout in llama.cpp salora does not write')
  })

  it('has dropout after each block, and none before the first', () => {
    expect(readOpt({}).dropouts).toEqual({ embeddings: 0, attention: 0, residual: 0.1 })
    const sites: string[] = []
    const { spec, hidden } = optArchitecture.open({ ...smallest, num_hidden_layers: 1 }, 'config.json').withDropout(0.5)
    const source = (name: string) => weight(name, spec.tensors.get(name) ?? [], 'float32', { location: 'w', offset: 0, length: 0 })
    const plain = plainHost(source)
    const dropout = (site: string, x: Expression, probability: number): Expression => {
      if (probability > 0) sites.push(site)
      return x
    }
    hidden({ ...plain, dropout }, batchInputs('float32'))
    expect(sites).toEqual(['decoder.layers.0.attention.probabilities', 'decoder.layers.0.self_attn.out_proj', 'decoder.layers.0.fc2'])
  })

  it.each([
    [{ num_attention_heads: 7 }, 'expected num_attention_heads that divides hidden_size 768, got 7'],
    [{ word_embed_proj_dim: 512 }, 'expected word_embed_proj_dim equal to hidden_size 768, got 512'],
    [{ do_layer_norm_before: false }, 'do_layer_norm_before'],
    [{ _remove_final_layer_norm: true }, '_remove_final_layer_norm'],
    [{ enable_bias: false }, 'enable_bias'],
    [{ layer_norm_elementwise_affine: false }, 'layer_norm_elementwise_affine'],
  ])('refuses %o', (more, message) => {
    expect(() => readOpt(more)).toThrow(message)
  })
})
