/** What a Phi-3 has in GGUF beside weights and tokenizer: sizes, and LongRoPE's factors. llama.cpp chooses between them by the length of its context. */
import type { WrittenKeys, WrittenTensor } from '../../checkpoints/gguf/writeGguf.js'
import { encode } from '../../checkpoints/safetensors/writeSafetensors.js'
import { openPhi3 } from '../../models/phi3/config.js'

/** @param where the name of config.json in messages. Keys are without the architecture's name. */
export const phi3Layout = (
  json: object,
  where: string,
): { readonly sizes: WrittenKeys; readonly factors: ReadonlyArray<WrittenTensor> } => {
  const { config, longRope } = openPhi3(json, where)
  const counts = {
    block_count: config.layers,
    // no longer than the original positions, so that an ordinary context has the short factors, nor than a window, which llama.cpp does not have
    context_length: Math.min(config.maxPositions, config.windows[0] ?? Infinity),
    embedding_length: config.hiddenSize,
    feed_forward_length: config.intermediateSize,
    vocab_size: config.vocabularySize,
    'attention.head_count': config.heads,
    'attention.head_count_kv': config.keyValueHeads,
    'attention.key_length': config.headSize,
    'attention.value_length': config.headSize,
    'attention.sliding_window': 0,
    'rope.dimension_count': config.rotarySize ?? config.headSize,
    'rope.scaling.original_context_length': longRope?.originalPositions ?? config.maxPositions,
  }
  const tensor = (name: string, numbers: ReadonlyArray<number>): WrittenTensor => {
    const [shape, data] = [[numbers.length], Float32Array.from(numbers)]
    return { name: `rope_factors_${name}.weight`, shape, type: 'F32', bytes: async () => encode({ shape, data }) }
  }
  return {
    sizes: [
      ...Object.entries(counts).map(([key, value]) => [key, { type: 'uint32', value }] as const),
      ['attention.layer_norm_rms_epsilon', { type: 'float32', value: config.rmsNormEpsilon }],
      ['rope.freq_base', { type: 'float32', value: config.rotaryBase }],
      ...(longRope === null ? [] : [['rope.scaling.attn_factor', { type: 'float32', value: longRope.attentionFactor }] as const]),
    ],
    factors: longRope === null ? [] : [tensor('long', longRope.long), tensor('short', longRope.short)],
  }
}
