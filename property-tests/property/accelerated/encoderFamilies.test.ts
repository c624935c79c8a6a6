/** Encoders beside BERT and RoBERTa: their sizes are the published ones, their files mean what they say, and what they do not carry is refused. */
import { describe, expect, it } from 'vitest'
import { findMethod, parseSettings } from '../../../accelerated/training/resolveSettings.js'
import { debertaArchitecture } from '../../../accelerated/models/deberta/deberta.js'
import { distanceBucket as debertaBucket, distanceRows } from '../../../accelerated/models/deberta/distances.js'
import { distilbertArchitecture } from '../../../accelerated/models/distilbert/distilbert.js'
import { electraArchitecture, xlmRobertaArchitecture } from '../../../accelerated/models/bert/bert.js'
import { distanceBucket, mpnetArchitecture } from '../../../accelerated/models/mpnet/mpnet.js'
import { modernbertArchitecture } from '../../../accelerated/models/modernbert/modernbert.js'
import { pooledDropout } from '../../../accelerated/models/layers/dropout.js'
import { batchInputs } from '../../../accelerated/models/batchInputs.js'
import { plainHost } from '../../../accelerated/models/host.js'
import { constant, input } from '../../../accelerated/graph/operators.js'
import { packBatch } from '../../../accelerated/models/packing.js'
import { uniforms } from '../../../accelerated/parameters/random.js'
import type { Model } from '../../../accelerated/models/architecture.js'
import { evaluate, resultOf } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'

const distilbert = {
  ...{ model_type: 'distilbert', vocab_size: 30_522, dim: 768, n_layers: 6, n_heads: 12, hidden_dim: 3072, max_position_embeddings: 512 },
}
const electraSmall = {
  ...{ model_type: 'electra', vocab_size: 30_522, embedding_size: 128, hidden_size: 256, num_hidden_layers: 12, num_attention_heads: 4 },
  ...{ intermediate_size: 1024, max_position_embeddings: 512, type_vocab_size: 2 },
}
const modernBase = {
  ...{ model_type: 'modernbert', vocab_size: 50_368, hidden_size: 768, num_hidden_layers: 22, num_attention_heads: 12 },
  intermediate_size: 1152,
}
const count = ({ spec }: Model): number => [...spec.tensors.values()].reduce((total, shape) => total + shape.reduce((a, b) => a * b, 1), 0)

/** Dropout sites and their probabilities, in the order in which a step uses them. */
const sitesOf = (model: Model) => {
  const plan = pooledDropout('float32')
  const shapes = new Map([...model.spec.tensors, ...model.sequenceHead(2).tensors])
  const host = plan.wrap(plainHost((name) => input(name, shapes.get(name) ?? [], 'float32')))
  model.sequenceHead(2).outputs(model.hidden(host, batchInputs('float32')), host)
  return plan.sites().map(({ site, probability }) => [site, probability])
}

describe('DistilBERT', () => {
  const model = distilbertArchitecture.open(distilbert, 'config.json')

  it('has the published 66,362,880 parameters without a head, six matrices a layer, and no token types', () => {
    expect(count(model)).toBe(66_362_880)
    expect(model.spec.matrices).toHaveLength(36)
    expect([...model.spec.tensors.keys()].some((name) => name.includes('token_type'))).toBe(false)
    expect(model.tokenTypes).toBe(false)
  })

  it("has the original's dropout sites: none after the attention's output", () => {
    const one = distilbertArchitecture.open({ ...distilbert, n_layers: 1, seq_classif_dropout: 0.3 }, 'config.json')
    expect(sitesOf(one)).toEqual([
      ['embeddings', 0.1],
      ['transformer.layer.0.attention.probabilities', 0.1],
      ['transformer.layer.0.ffn', 0.1],
      ['head.hidden', 0.3],
    ])
    expect(new Set(sitesOf(one.withDropout(0.7)).map(([, probability]) => probability))).toEqual(new Set([0.7]))
  })

  it.each([
    [{ n_heads: 7 }, 'config.json: expected n_heads that divides dim 768, got 7'],
    [{ activation: 'relu' }, 'activation'],
    [{ dim: 0 }, 'dim'],
  ])('refuses %j in one line', (change, message) => {
    expect(() => distilbertArchitecture.open({ ...distilbert, ...change }, 'config.json')).toThrow(message)
  })
})

describe('ELECTRA', () => {
  it("has the 13,483,008 parameters of electra-small's encoder, including embeddings of half its width and their map", () => {
    const model = electraArchitecture.open(electraSmall, 'config.json')
    expect(count(model)).toBe(13_483_008)
    expect(model.spec.tensors.get('embeddings_project.weight')).toEqual([256, 128])
    const square = electraArchitecture.open({ ...electraSmall, embedding_size: 256 }, 'config.json')
    expect(square.spec.tensors.has('embeddings_project.weight')).toBe(false)
  })

  it("has prompts of the embeddings' width, and prefixes and adapters of the layers' width", () => {
    const { spec } = electraArchitecture.open(electraSmall, 'config.json')
    const shapesOf = (method: string) => {
      const settings = parseSettings({ method })
      return findMethod(method)
        .train.tensors(findMethod(method).phases.start(spec, settings), settings)
        .map(({ shape }) => shape)
    }
    expect(shapesOf('prompt')).toEqual([[40, 128]])
    expect(shapesOf('prefix')).toEqual([[40, 12 * 2 * 256]])
    expect(shapesOf('pfeiffer').slice(0, 3)).toEqual([[16, 256], [16], [256, 16]])
  })
})

describe('ModernBERT', () => {
  it('has the published 149,014,272 parameters of ModernBERT-base without a head, four matrices a layer, and no bias', () => {
    const model = modernbertArchitecture.open(modernBase, 'config.json')
    expect(count(model)).toBe(149_014_272)
    expect(model.spec.matrices).toHaveLength(88)
    expect([...model.spec.tensors.keys()].filter((name) => name.endsWith('.bias'))).toEqual([])
    expect(model.spec.maxPositions).toBe(8192)
  })

  it.each([
    [5, 2],
    [4, 2],
    [1, 0],
    [3, 1],
  ])('attends within a window of %i to %i tokens on either side, half of it rounded down', async (window, reach) => {
    const tiny = { model_type: 'modernbert', vocab_size: 20, hidden_size: 4, num_attention_heads: 1, intermediate_size: 4 }
    const local = { num_hidden_layers: 1, layer_types: ['sliding_attention'], local_attention: window }
    const model = modernbertArchitecture.open({ ...tiny, ...local }, 'config.json')
    const tensors = new Map(
      [...model.spec.tensors].map(([name, shape], at) => {
        const size = shape.reduce((a, b) => a * b, 1)
        return [name, constant(uniforms(SEED, 'split', at, size), shape, 'float64')] as const
      }),
    )
    const host = plainHost(
      (name) => tensors.get(name) ?? expect.fail(`no ${name}`),
      () => false,
    )
    const outputs = { hidden: model.hidden(host, batchInputs('float64')) }
    const rowOf = async (inputIds: readonly number[]) =>
      resultOf(await evaluate(outputs, packBatch([{ inputIds }], model.firstPosition, 'float64').feeds), 'hidden').slice(4 * 3, 4 * 4)
    const plain = [3, 4, 5, 6, 7, 8, 9]
    const before = await rowOf(plain)
    for (const place of plain.keys()) {
      const after = await rowOf(plain.with(place, 13))
      expect(String(after) === String(before), `token 3 does not see token ${place}`).toBe(Math.abs(place - 3) > reach)
    }
  })

  it('has its dropout sites with their own probabilities', () => {
    const dropouts = { embedding_dropout: 0.1, attention_dropout: 0.2, mlp_dropout: 0.3, classifier_dropout: 0.4 }
    expect(sitesOf(modernbertArchitecture.open({ ...modernBase, num_hidden_layers: 1, ...dropouts }, 'config.json'))).toEqual([
      ['embeddings', 0.1],
      ['layers.0.attention.probabilities', 0.2],
      ['layers.0.attn', 0.2],
      ['layers.0.mlp', 0.3],
      ['head.hidden', 0.4],
    ])
  })

  it.each([
    [{ num_attention_heads: 7 }, 'num_attention_heads that cut hidden_size 768 into even parts, got 7'],
    [{ layer_types: ['full_attention'] }, 'layer_types of 22 layers, got 1'],
    [{ classifier_pooling: 'max' }, 'classifier_pooling'],
    [{ norm_bias: true }, 'norm_bias'],
    [{ rope_parameters: { full_attention: { rope_type: 'yarn' } } }, 'rope_type'],
  ])('refuses %j in one line', (change, message) => {
    const refusal = () => modernbertArchitecture.open({ ...modernBase, ...change }, 'config.json')
    expect(refusal).toThrow(message)
    expect(refusal).toThrow(/^config\.json: expected [^\n]+, got [^\n]+$|^config\.json: [^\n]+$/)
  })
})

describe('MPNet', () => {
  const base = {
    ...{ model_type: 'mpnet', vocab_size: 30_527, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12 },
    ...{ intermediate_size: 3072, max_position_embeddings: 514 },
  }

  it('has the 108,895,872 parameters of mpnet-base without a pooler, including its table of distances', () => {
    const model = mpnetArchitecture.open(base, 'config.json')
    expect(count(model)).toBe(108_895_872)
    expect(model.spec.tensors.get('encoder.relative_attention_bias.weight')).toEqual([32, 12])
    expect(model.spec.maxPositions).toBe(512)
    expect(model.paddingIndex).toBe(1)
  })

  it("has the original's buckets of distances: single ones up to 7, then by factors of √2, and one beyond 128", () => {
    const before = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => distanceBucket(-(from + i), 32))
    expect(before(0, 7)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    const starts = [8, 12, 16, 23, 32, 46, 64, 91] // of rows 8 to 15: the first distance n with log₁₆(n / 8) · 8 past each whole number
    for (const [i, start] of starts.entries()) {
      expect(distanceBucket(-start, 32)).toBe(8 + i)
      if (i > 0) expect(distanceBucket(-(start - 1), 32)).toBe(7 + i)
    }
    expect(distanceBucket(-10_000, 32)).toBe(15)
    for (const n of [1, 7, 8, 40, 500]) expect(distanceBucket(n, 32)).toBe(16 + distanceBucket(-n, 32))
  })
})

describe('the distances of DeBERTa', () => {
  it('beyond the table have its outermost rows, with and without buckets', () => {
    expect(distanceRows(5, null, 3)).toEqual([0, 0, 0, 1, 2, 3, 4, 5, 5, 5, 5])
    const rows = distanceRows(600, 32, 512) // 16 rows of single distances on either side, and logarithmic ones up to 511
    expect([rows[0], rows[600 - 511], rows[600 - 16], rows[600], rows[600 + 16], rows[600 + 511], rows.at(-1)]).toEqual([
      0, 1, 16, 32, 48, 63, 63,
    ])
    expect(rows).toEqual([...rows].sort((a, b) => a - b))
  })
})

describe('XLM-RoBERTa', () => {
  it("has the 277,453,056 parameters of xlm-roberta-base without a pooler, and RoBERTa's names in files", () => {
    const base = {
      ...{ model_type: 'xlm-roberta', vocab_size: 250_002, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12 },
      ...{ intermediate_size: 3072, max_position_embeddings: 514, type_vocab_size: 1, pad_token_id: 1 },
    }
    const model = xlmRobertaArchitecture.open(base, 'config.json')
    expect(count(model)).toBe(277_453_056)
    expect([model.spec.maxPositions, model.firstPosition, model.naming.stored('x'), model.naming.stored('classifier.x')]).toEqual([
      512,
      2,
      'roberta.x',
      'classifier.x',
    ])
  })
})

describe('DeBERTa', () => {
  const v3Base = {
    ...{ model_type: 'deberta-v2', vocab_size: 128_100, hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12 },
    ...{ intermediate_size: 3072, max_position_embeddings: 512, type_vocab_size: 0, relative_attention: true, position_buckets: 256 },
    ...{ norm_rel_ebd: 'layer_norm', share_att_key: true, pos_att_type: 'p2c|c2p', position_biased_input: false, layer_norm_eps: 1e-7 },
  }

  it('has the 183,831,552 parameters of deberta-v3-base without a pooler, one table of 512 distances, and six matrices a layer', () => {
    const model = debertaArchitecture.open(v3Base, 'config.json')
    expect(count(model)).toBe(183_831_552)
    expect(model.spec.tensors.get('encoder.rel_embeddings.weight')).toEqual([512, 768])
    expect(model.spec.matrices).toHaveLength(72)
    const separate = debertaArchitecture.open({ ...v3Base, share_att_key: false, num_hidden_layers: 1 }, 'config.json')
    expect(separate.spec.matrices.map(({ name }) => name.replace(/^.*self\./, '')).slice(3, 5)).toEqual(['pos_query_proj', 'pos_key_proj'])
  })

  it("has PyTorch's buckets: single distances up to 128, then 127 logarithmic ranges up to 511", () => {
    const known = [0, 1, 128, 129, 130, 131, 150, 200, 256, 300, 400, 500, 510, 511]
    expect(known.map((n) => debertaBucket(n, 256, 512))).toEqual([0, 1, 128, 129, 130, 131, 143, 169, 192, 207, 233, 254, 255, 255])
    for (const n of known) expect(debertaBucket(-n, 256, 512) + debertaBucket(n, 256, 512)).toBe(0)
  })

  it('passes tokens and distances to a method as one input, with one dropout site', () => {
    const model = debertaArchitecture.open({ ...v3Base, num_hidden_layers: 1 }, 'config.json').withDropout(0)
    const [lora, settings] = [findMethod('lora'), parseSettings({ method: 'lora', loraDropout: 0.5 })]
    const phase = lora.phases.start(model.spec, settings)
    const trained = new Map(lora.train.tensors(phase, settings).map(({ name, shape }) => [name, input(name, shape, 'float32')]))
    const plan = pooledDropout('float32')
    const plain = plainHost((name) => input(name, model.spec.tensors.get(name) ?? [], 'float32'))
    model.hidden(
      lora.train.wrap(phase, settings, (name) => trained.get(name) ?? plain.tensor(name))(plan.wrap(plain)),
      batchInputs('float32'),
    )
    expect(plan.sites().map(({ site, shape }) => [site.replace(/^.*layer\.0\./, ''), shape[0]])).toEqual([
      ['attention.self.query_proj.lora', 'tokens+512'],
      ['attention.self.key_proj.lora', 'tokens+512'],
      ['attention.self.value_proj.lora', 'tokens'],
      ['attention.output.dense.lora', 'tokens'],
      ['intermediate.dense.lora', 'tokens'],
      ['output.dense.lora', 'tokens'],
    ])
  })

  it('has its dropout sites with their own probabilities', () => {
    const dropouts = { hidden_dropout_prob: 0.1, attention_probs_dropout_prob: 0.2, pooler_dropout: 0.3, cls_dropout: 0.4 }
    const one = debertaArchitecture.open({ ...v3Base, num_hidden_layers: 1, ...dropouts }, 'config.json')
    expect(sitesOf(one)).toEqual([
      ['embeddings', 0.1],
      ['encoder.layer.0.attention.distances', 0.1],
      ['encoder.layer.0.attention.probabilities', 0.2],
      ['encoder.layer.0.attention.output', 0.1],
      ['encoder.layer.0.output', 0.1],
      ['head.input', 0.3],
      ['head.hidden', 0.4],
    ])
    expect(new Set(sitesOf(one.withDropout(0.7)).map(([, probability]) => probability))).toEqual(new Set([0.7]))
  })

  it.each([
    [{ num_attention_heads: 7 }, 'config.json: expected num_attention_heads that divides hidden_size 768, got 7'],
    [{ conv_kernel_size: 3 }, 'conv_kernel_size is 0, got 3'],
    [{ embedding_size: 128 }, 'config.json: expected no embedding_size but 768, got 128'],
    [{ attention_head_size: 32 }, 'config.json: expected no attention_head_size but 64, got 32'],
    [{ pos_att_type: 'p2p' }, 'pos_att_type'],
    [{ position_buckets: 1 }, 'position_buckets'],
    [{ position_buckets: 1_022 }, 'position_buckets'],
    [{ norm_rel_ebd: 'batch_norm' }, 'norm_rel_ebd'],
    [{ pooler_hidden_act: 'tanh' }, 'pooler_hidden_act'],
  ])('refuses %j in one line', (change, message) => {
    const refusal = () => debertaArchitecture.open({ ...v3Base, ...change }, 'config.json')
    expect(refusal).toThrow(message)
    expect(refusal).toThrow(/^config\.json: expected [^\n]+, got [^\n]+$/)
  })
})
