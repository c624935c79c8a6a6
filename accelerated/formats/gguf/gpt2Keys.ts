/** The sizes of a GPT-2 as keys of GGUF. llama.cpp computes the tanh form of GELU for it, so another activation is refused. */
import type { WrittenKeys } from '../../checkpoints/gguf/writeGguf.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { gpt2Config } from '../../models/gpt/gpt2.js'

/** @param where the name of config.json in messages @throws InputError for another activation */
export const gpt2Keys = (json: object, where: string): WrittenKeys => {
  const config = gpt2Config(json, where)
  if (config.activation !== 'gelu_tanh') throw inputError(where, 'activation_function "gelu_new", for GGUF', quoted(config.activation))
  const counts = {
    block_count: config.layers,
    context_length: config.maxPositions,
    embedding_length: config.hiddenSize,
    feed_forward_length: config.intermediateSize,
    vocab_size: config.vocabularySize,
    'attention.head_count': config.heads,
  }
  return [
    ...Object.entries(counts).map(([key, value]) => [key, { type: 'uint32', value }] as const),
    ['attention.layer_norm_epsilon', { type: 'float32', value: config.layerNormEpsilon }],
  ]
}
