/** Phi-3 in GGUF, with LongRoPE's factors. llama.cpp chooses between them by the length of its context. */
import { fractionKeys, type GgufFamily } from '../gguf.js'
import { llama } from '../llama/family.js'
import { decoderNames, readSizes, sizeKeys } from '../llama/gguf.js'
import { openPhi3 } from './config.js'

export const phi3Gguf: GgufFamily = {
  architecture: 'phi3',
  names: { ...decoderNames(llama), 'self_attn.qkv_proj': 'attn_qkv', 'mlp.gate_up_proj': 'ffn_up' },
  interleaved: null,
  normOffset: 0,
  write: (json, where) => {
    const { config, longRope } = openPhi3(json, where)
    return {
      keys: [
        // the context ends with the original positions, so that an ordinary one has the short factors
        ...sizeKeys(config, false, {
          'attention.sliding_window': 0,
          'rope.dimension_count': config.rotarySize ?? config.headSize,
          'rope.scaling.original_context_length': longRope?.originalPositions ?? config.maxPositions,
        }),
        ...fractionKeys({ 'rope.scaling.attn_factor': longRope?.attentionFactor ?? null }),
      ],
      factors: longRope === null ? {} : { 'rope_factors_long.weight': longRope.long, 'rope_factors_short.weight': longRope.short },
    }
  },
  /** Files of llama.cpp's script give the size of a head by the number of heads alone. */
  read: (gguf) => {
    const { number, required, factors } = gguf
    const headSize = number('attention.key_length') ?? required('embedding_length') / required('attention.head_count')
    const [short, long] = [factors('rope_factors_short.weight'), factors('rope_factors_long.weight')]
    const [window, attentionFactor] = [number('attention.sliding_window') ?? 0, number('rope.scaling.attn_factor')]
    return {
      architectures: ['Phi3ForCausalLM'],
      model_type: 'phi3',
      ...readSizes(gguf, headSize),
      original_max_position_embeddings: number('rope.scaling.original_context_length') ?? required('context_length'),
      partial_rotary_factor: (number('rope.dimension_count') ?? headSize) / headSize,
      rope_theta: number('rope.freq_base') ?? 10_000,
      rope_scaling:
        short === undefined || long === undefined
          ? null
          : {
              ...{ type: 'longrope', short_factor: [...short], long_factor: [...long] },
              ...(attentionFactor === undefined ? {} : { attention_factor: attentionFactor }),
            },
      sliding_window: window > 0 ? window : null,
    }
  },
}
