/** The sizes of a GPT-2 from its config.json. */
import { z } from 'zod'
import { inputError } from '../../errors/inputError.js'
import { validate } from '../../errors/validate.js'
import { probability, size } from '../bert/config.js'
import type { GptConfig } from '../gpt/config.js'

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
