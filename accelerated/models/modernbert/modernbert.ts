/**
 * ModernBERT (Warner et al., 2024): pre-norm layers without biases, with one matrix for queries, keys and values. It has rotary positions, GeGLU,
 * and attention within a window in most layers.
 */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { inputError } from '../../errors/inputError.js'
import type { Expression } from '../../graph/expression.js'
import { add, constant, gelu, layerNormalization, mul, rotaryEmbedding, slice } from '../../graph/operators.js'
import {
  blockLayer,
  type Architecture,
  type ClassifierHead,
  type Matrix,
  type Model,
  type ModelSpec,
  type TensorShape,
} from '../architecture.js'
import { slotPositions, type BatchInputs, type PaddedInputs } from '../batchInputs.js'
import { probability, size } from '../bert/config.js'
import { encoderNaming } from '../bert/spec.js'
import { classifierHead, linearTensors } from '../layers/classifierHead.js'
import type { Host } from '../host.js'
import { attention, paddingBias, windowBias } from '../layers/attention.js'
import { isRotaryBuffer, rotaryAngles, type Angles } from '../layers/rotary.js'

const angle = z.object({ rope_type: z.literal('default').optional(), rope_theta: z.number().positive().optional() })

/** The keys read; all others are ignored. Defaults are those of the original configuration class. */
const schema = z.object({
  model_type: z.literal('modernbert'),
  vocab_size: size(10_000_000),
  hidden_size: size(65_536),
  num_hidden_layers: size(1_024),
  num_attention_heads: size(1_024),
  intermediate_size: size(1_048_576),
  max_position_embeddings: size(1_048_576).default(8_192),
  norm_eps: z.number().gt(0).lt(1).default(1e-5),
  norm_bias: z.literal(false).default(false),
  attention_bias: z.literal(false).default(false),
  mlp_bias: z.literal(false).default(false),
  classifier_bias: z.literal(false).default(false),
  hidden_activation: z.literal('gelu').default('gelu'),
  classifier_activation: z.literal('gelu').default('gelu'),
  classifier_pooling: z.enum(['cls', 'mean']).default('cls'),
  embedding_dropout: probability.default(0),
  attention_dropout: probability.default(0),
  mlp_dropout: probability.default(0),
  classifier_dropout: probability.default(0),
  local_attention: size(1_048_576).default(128),
  layer_types: z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .max(1_024)
    .nullish(),
  global_attn_every_n_layers: size(1_024).default(3),
  global_rope_theta: z.number().positive().default(160_000),
  local_rope_theta: z.number().positive().nullish(),
  rope_parameters: z.object({ full_attention: angle.nullish(), sliding_attention: angle.nullish() }).nullish(),
  pad_token_id: z.int().min(0).nullish(),
})

/** Sizes are counts; dropouts are probabilities in [0, 1). */
type ModernConfig = {
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly heads: number
  readonly intermediateSize: number
  readonly maxPositions: number
  readonly normEpsilon: number
  /** per layer: whether it attends only within the window */
  readonly local: readonly boolean[]
  /** tokens on either side */
  readonly window: number
  readonly rotaryBases: { readonly global: number; readonly local: number }
  readonly paddingIndex: number
  readonly pooling: 'first' | 'mean'
  readonly dropouts: { readonly embeddings: number; readonly attention: number; readonly feedForward: number; readonly head: number }
}

const parseConfig = (json: object, where: string): ModernConfig => {
  const file = validate(schema, json, where, 'an encoder')
  const { hidden_size: hiddenSize, num_attention_heads: heads, num_hidden_layers: layers, rope_parameters: rope } = file
  if (hiddenSize % heads !== 0 || (hiddenSize / heads) % 2 !== 0)
    throw inputError(where, `num_attention_heads that cut hidden_size ${hiddenSize} into even parts`, String(heads))
  const types =
    file.layer_types ??
    Array.from({ length: layers }, (_, i) => (i % file.global_attn_every_n_layers === 0 ? 'full_attention' : 'sliding_attention'))
  if (types.length !== layers) throw inputError(where, `layer_types of ${layers} layers`, String(types.length))
  const global = rope?.full_attention?.rope_theta ?? file.global_rope_theta
  return {
    vocabularySize: file.vocab_size,
    hiddenSize,
    heads,
    intermediateSize: file.intermediate_size,
    maxPositions: file.max_position_embeddings,
    normEpsilon: file.norm_eps,
    local: types.map((type) => type === 'sliding_attention'),
    window: Math.floor(file.local_attention / 2),
    rotaryBases: { global, local: rope?.sliding_attention?.rope_theta ?? file.local_rope_theta ?? 10_000 },
    paddingIndex: Math.min(file.pad_token_id ?? 0, file.vocab_size - 1),
    pooling: file.classifier_pooling === 'mean' ? 'mean' : 'first',
    dropouts: {
      embeddings: file.embedding_dropout,
      attention: file.attention_dropout,
      feedForward: file.mlp_dropout,
      head: file.classifier_dropout,
    },
  }
}

const layerName = (i: number): string => `layers.${i}`

const listMatrices = ({ hiddenSize: h, intermediateSize: f }: ModernConfig, at: string): readonly Matrix[] => [
  { name: `${at}.attn.Wqkv`, d: 3 * h, k: h },
  { name: `${at}.attn.Wo`, d: h, k: h },
  { name: `${at}.mlp.Wi`, d: 2 * f, k: h },
  { name: `${at}.mlp.Wo`, d: h, k: f },
]

/** The tensor of the word embeddings. */
const wordTable = 'embeddings.tok_embeddings.weight'

const buildSpec = (config: ModernConfig): ModelSpec => {
  const { hiddenSize: h, heads, local, vocabularySize } = config
  const names = local.map((_, i) => layerName(i))
  const norms = [
    'embeddings.norm',
    ...names.flatMap((at, i) => (i === 0 ? [`${at}.mlp_norm`] : [`${at}.attn_norm`, `${at}.mlp_norm`])),
    'final_norm',
  ]
  return {
    hiddenSize: h,
    embeddingSize: h,
    words: wordTable,
    tensors: new Map<string, TensorShape>([
      [wordTable, [vocabularySize, h]],
      ...names.flatMap((at) => listMatrices(config, at).map(({ name, d, k }) => [`${name}.weight`, [d, k]] as const)),
      ...norms.map((name) => [`${name}.weight`, [h]] as const),
    ]),
    matrices: names.flatMap((at) => listMatrices(config, at)),
    layers: names.map((name) => blockLayer(name, heads, h / heads, `${name}.attn`, `${name}.mlp`)),
    maxPositions: config.maxPositions,
    kind: 'encoder',
    supportedHooks: ['embedded'], // transformers gives it no past keys and values, and the adapters library does not know it
  }
}

type Reach = { readonly angles: Angles; readonly bias: Expression }

/** Hidden states of a batch: → [tokens, hidden] */
const encoder = (config: ModernConfig, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
  const { hiddenSize, heads, rotaryBases, window, dropouts, local } = config
  const dtype = batch.attentionBias.dtype === 'float64' ? 'float64' : 'float32'
  const computeAngles = (rotaryBase: number): Angles =>
    rotaryAngles({ headSize: hiddenSize / heads, rotaryBase, rotaryScaling: null }, batch.positions, dtype)
  const everywhere: Reach = { angles: computeAngles(rotaryBases.global), bias: paddingBias(batch) }
  const nearby: Reach = { angles: computeAngles(rotaryBases.local), bias: windowBias(batch, window) }
  const words = host.embedded(host.wordRows(wordTable, batch.inputIds), batch)
  const embedded = host.dropout('embeddings', norm(config, host, 'embeddings.norm')(words), dropouts.embeddings)
  const layers = local.map((isLocal, i) => host.layer(layerName(i), encoderLayer(config, host, batch, isLocal ? nearby : everywhere, i)))
  const hidden = layers.reduce((x, layer) => layer(x), embedded)
  return norm(config, host, 'final_norm')(hidden)
}

/** x ← x + attention(norm(x)); x ← x + W_O (gelu(u) ⊙ v), [u v] = W_I norm(x). Layer 0 has no first norm, because the embeddings are normed. */
const encoderLayer =
  (config: ModernConfig, host: Host, batch: BatchInputs | PaddedInputs, { angles, bias }: Reach, i: number) =>
  (x: Expression): Expression => {
    const { hiddenSize: h, heads, intermediateSize: f, dropouts } = config
    const [name, headSize] = [layerName(i), h / heads]
    const residual = (at: string, to: Expression, output: Expression): Expression =>
      add(to, host.sublayer(at, output, { residual: to, norm: (y) => y }))
    const qkv = host.linear(`${name}.attn.Wqkv`, i === 0 ? x : norm(config, host, `${name}.attn_norm`)(x))
    const [query, key, value] = [0, 1, 2].map((part) => slice(qkv, 1, part * h, h)) as [Expression, Expression, Expression]
    const turned = [query, key].map((part) => rotaryEmbedding(part, heads, angles.cosine, angles.sine)) as [Expression, Expression]
    const context = attention({ heads, headSize, layer: name, dropout: dropouts.attention, bias }, host, batch, ...turned, value)
    const attended = residual(`${name}.attn`, x, host.dropout(`${name}.attn`, host.linear(`${name}.attn.Wo`, context), dropouts.attention))
    const wide = host.linear(`${name}.mlp.Wi`, norm(config, host, `${name}.mlp_norm`)(attended))
    const gated = host.dropout(`${name}.mlp`, mul(gelu(slice(wide, 1, 0, f)), slice(wide, 1, f, f)), dropouts.feedForward)
    return residual(`${name}.mlp`, attended, host.linear(`${name}.mlp.Wo`, gated))
  }

/** LayerNorm without a bias. */
const norm =
  ({ normEpsilon, hiddenSize }: ModernConfig, host: Host, name: string) =>
  (x: Expression): Expression =>
    layerNormalization(
      x,
      host.tensor(`${name}.weight`),
      constant(new Array<number>(hiddenSize).fill(0), [hiddenSize], x.dtype),
      normEpsilon,
    )

/** dense → gelu → norm → dropout → classifier, over first tokens or over every token */
const predictionHead =
  (config: ModernConfig) =>
  (outputs: number): ClassifierHead =>
    classifierHead(
      'classifier',
      {
        before: [
          ['head.dense.weight', [config.hiddenSize, config.hiddenSize]],
          ['head.norm.weight', [config.hiddenSize]],
        ],
        own: linearTensors('classifier', outputs, config.hiddenSize),
      },
      (rows, host) => {
        const inner = norm(config, host, 'head.norm')(gelu(host.linear('head.dense', rows)))
        return host.dropout('head.hidden', inner, config.dropouts.head)
      },
    )

const modernbertModel = (config: ModernConfig): Model => ({
  type: 'modernbert',
  spec: buildSpec(config),
  vocabularySize: config.vocabularySize,
  paddingIndex: config.paddingIndex,
  firstPosition: 0,
  tokenTypes: false,
  specialTokens: null,
  naming: {
    ...encoderNaming('model', 'ModernBert', /^(head|classifier)\./),
    tokenizer: 'PreTrainedTokenizerFast',
  },
  ignored: isRotaryBuffer,
  hidden: (host, batch) => encoder(config, host, batch),
  pooling: config.pooling,
  sequenceHead: predictionHead(config),
  tokenHead: predictionHead(config),
  paddedPositions: slotPositions,
  withDropout: (p) => modernbertModel({ ...config, dropouts: { embeddings: p, attention: p, feedForward: p, head: p } }),
})

export const modernbertArchitecture: Architecture = {
  modelTypes: ['modernbert'],
  open: (json, where) => modernbertModel(parseConfig(json, where)),
  gguf: null,
}
