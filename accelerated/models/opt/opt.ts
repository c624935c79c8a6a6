/** OPT (Zhang et al., 2022): separate matrices for queries, keys and values, ReLU, and positions from the third row of their table. */
import { z } from 'zod'
import { inputError } from '../../errors/inputError.js'
import { validate } from '../../errors/validate.js'
import type { Architecture } from '../architecture.js'
import { probability, size } from '../bert/config.js'
import { type GptConfig, type GptNames, gptModel, type GptFamily } from '../gpt/model.js'

/** The keys read; all others are ignored. Defaults are those of the original configuration class. */
const schema = z.object({
  model_type: z.literal('opt'),
  vocab_size: size(10_000_000).default(50_272),
  hidden_size: size(65_536).default(768),
  word_embed_proj_dim: size(65_536).nullish(),
  num_hidden_layers: size(1_024).default(12),
  num_attention_heads: size(1_024).default(12),
  ffn_dim: size(1_048_576).default(3_072),
  max_position_embeddings: size(1_048_576).default(2_048),
  activation_function: z.enum(['relu', 'gelu', 'gelu_new']).default('relu'),
  dropout: probability.default(0.1),
  attention_dropout: probability.default(0),
  do_layer_norm_before: z.literal(true).default(true),
  _remove_final_layer_norm: z.literal(false).default(false),
  enable_bias: z.literal(true).default(true),
  layer_norm_elementwise_affine: z.literal(true).default(true),
  tie_word_embeddings: z.boolean().default(true),
  pad_token_id: z.int().nullish(),
})

/** @param where the file's name in messages @throws InputError if a key is missing or out of bounds, or sizes contradict each other */
export const optConfig = (json: object, where: string): GptConfig => {
  const file = validate(schema, json, where, 'a decoder')
  const { hidden_size: hiddenSize, num_attention_heads: heads, word_embed_proj_dim: width, activation_function: activation } = file
  const padding = file.pad_token_id ?? 1
  if (hiddenSize % heads !== 0) throw inputError(where, `num_attention_heads that divides hidden_size ${hiddenSize}`, String(heads))
  if (width != null && width !== hiddenSize)
    throw inputError(where, `word_embed_proj_dim equal to hidden_size ${hiddenSize}`, String(width))
  return {
    vocabularySize: file.vocab_size,
    hiddenSize,
    layers: file.num_hidden_layers,
    heads,
    intermediateSize: file.ffn_dim,
    maxPositions: file.max_position_embeddings,
    layerNormEpsilon: 1e-5,
    activation: activation === 'gelu_new' ? 'gelu_tanh' : activation,
    tied: file.tie_word_embeddings,
    paddingIndex: padding >= 0 && padding < file.vocab_size ? padding : 0, // −1: none
    dropouts: { embeddings: 0, attention: file.attention_dropout, residual: file.dropout },
  }
}

const names: GptNames = {
  words: 'decoder.embed_tokens',
  positions: 'decoder.embed_positions',
  positionOffset: 2,
  layer: (i) => `decoder.layers.${i}`,
  within: {
    attentionNorm: 'self_attn_layer_norm',
    queryKeyValue: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
    attentionOutput: 'self_attn.out_proj',
    feedForwardNorm: 'final_layer_norm',
    up: 'fc1',
    down: 'fc2',
  },
  norm: 'decoder.final_layer_norm',
}

const family: GptFamily = {
  type: 'opt',
  names,
  prefix: 'model.',
  embeddingDropout: false,
  ia3Targets: ['q_proj', 'k_proj'], // as in PEFT
  classes: { sequenceClassifier: 'OPTForSequenceClassification', causal: 'OPTForCausalLM' },
}

export const optArchitecture: Architecture = {
  modelTypes: ['opt'],
  open: (json, where) => gptModel(family, optConfig(json, where)),
  gguf: null,
}
