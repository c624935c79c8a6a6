/** GPT-2 (Radford et al., 2019): one matrix for queries, keys and values, and every matrix of a layer stored as [in, out]. */
import type { Architecture } from '../architecture.js'
import type { GptNames } from '../gpt/config.js'
import { gptModel, type GptFamily } from '../gpt/model.js'
import { gpt2Config } from './config.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { countKeys, fractionKeys, type GgufFamily } from '../gguf.js'

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
