/** GPT-2 (Radford et al., 2019): one matrix for queries, keys and values, and every matrix of a layer stored as [in, out]. */
import type { Architecture } from '../architecture.js'
import { type GptNames, type GptConfig, gptModel, type GptFamily } from '../gpt/model.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { countKeys, fractionKeys, type GgufFamily } from '../gguf.js'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { probability, size } from '../bert/config.js'

/** GPT-2 in GGUF. llama.cpp computes the tanh form of GELU for it, so another activation is refused. */
export const gpt2Gguf: GgufFamily = {
  architecture: 'gpt2',
  names: {
    wte: 'token_embd',
    wpe: 'position_embd',
    ln_f: 'output_norm',
    lm_head: 'output',
    'attn.c_attn': 'attn_qkv',
    'attn.c_proj': 'attn_output',
    'mlp.c_fc': 'ffn_up',
    'mlp.c_proj': 'ffn_down',
    ln_1: 'attn_norm',
    ln_2: 'ffn_norm',
  },
  interleaved: null,
  normOffset: 0,
  write: (json, where) => {
    const config = gpt2Config(json, where)
    if (config.activation !== 'gelu_tanh') throw inputError(where, 'activation_function "gelu_new", for GGUF', quoted(config.activation))
    const keys = [
      ...countKeys({
        block_count: config.layers,
        context_length: config.maxPositions,
        embedding_length: config.hiddenSize,
        feed_forward_length: config.intermediateSize,
        vocab_size: config.vocabularySize,
        'attention.head_count': config.heads,
      }),
      ...fractionKeys({ 'attention.layer_norm_epsilon': config.layerNormEpsilon }),
    ]
    return { keys, factors: {} }
  },
  read: ({ required }) => ({
    architectures: ['GPT2LMHeadModel'],
    model_type: 'gpt2',
    n_embd: required('embedding_length'),
    n_layer: required('block_count'),
    n_head: required('attention.head_count'),
    n_inner: required('feed_forward_length'),
    n_positions: required('context_length'),
    layer_norm_epsilon: required('attention.layer_norm_epsilon'),
    activation_function: 'gelu_new',
  }),
}

const names: GptNames = {
  words: 'wte',
  positions: 'wpe',
  positionOffset: 0,
  layer: (i) => `h.${i}`,
  within: {
    attentionNorm: 'ln_1',
    queryKeyValue: ['attn.c_attn'],
    attentionOutput: 'attn.c_proj',
    feedForwardNorm: 'ln_2',
    up: 'mlp.c_fc',
    down: 'mlp.c_proj',
  },
  norm: 'ln_f',
}

const family: GptFamily = {
  type: 'gpt2',
  names,
  prefix: 'transformer.',
  embeddingDropout: true,
  classes: { sequenceClassifier: 'GPT2ForSequenceClassification', causal: 'GPT2LMHeadModel' },
  transposed: (tensor) => /^h\.\d+\.(attn|mlp)\.c_\w+\.weight$/.test(tensor),
  ignored: (tensor) => /^h\.\d+\.attn\.(masked_)?bias$/.test(tensor), // the mask of later tokens, which old checkpoints have
}

export const gpt2Architecture: Architecture = {
  modelTypes: ['gpt2'],
  open: (json, where) => gptModel(family, gpt2Config(json, where)),
  gguf: gpt2Gguf,
}

// The sizes of a GPT-2 from its config.json.
/** The keys read; all others are ignored. Defaults are those of the original configuration class. */
const schema = z.object({
  model_type: z.literal('gpt2'),
  vocab_size: size(10_000_000).default(50_257),
  n_embd: size(65_536).default(768),
  n_layer: size(1_024).default(12),
  n_head: size(1_024).default(12),
  n_inner: size(1_048_576).nullish(),
  n_positions: size(1_048_576).default(1_024),
  layer_norm_epsilon: z.number().gt(0).lt(1).default(1e-5),
  activation_function: z.enum(['gelu_new', 'gelu_pytorch_tanh', 'gelu', 'relu']).default('gelu_new'),
  embd_pdrop: probability.default(0.1),
  attn_pdrop: probability.default(0.1),
  resid_pdrop: probability.default(0.1),
  scale_attn_weights: z.literal(true).default(true),
  scale_attn_by_inverse_layer_idx: z.literal(false).default(false),
  reorder_and_upcast_attn: z.literal(false).default(false),
  add_cross_attention: z.literal(false).default(false),
  tie_word_embeddings: z.boolean().default(true),
  pad_token_id: z.int().nullish(),
})

/** @param where the file's name in messages @throws InputError if a key is missing or out of bounds, or sizes contradict each other */
export const gpt2Config = (json: object, where: string): GptConfig => {
  const file = validate(schema, json, where, 'a decoder')
  const { n_embd: hiddenSize, n_head: heads, activation_function: activation, pad_token_id: padding } = file
  if (hiddenSize % heads !== 0) throw inputError(where, `n_head that divides n_embd ${hiddenSize}`, String(heads))
  return {
    vocabularySize: file.vocab_size,
    hiddenSize,
    layers: file.n_layer,
    heads,
    intermediateSize: file.n_inner ?? 4 * hiddenSize,
    maxPositions: file.n_positions,
    layerNormEpsilon: file.layer_norm_epsilon,
    activation: activation === 'gelu' || activation === 'relu' ? activation : 'gelu_tanh',
    tied: file.tie_word_embeddings,
    paddingIndex: padding != null && padding >= 0 && padding < file.vocab_size ? padding : 0, // −1: none
    dropouts: { embeddings: file.embd_pdrop, attention: file.attn_pdrop, residual: file.resid_pdrop },
  }
}
