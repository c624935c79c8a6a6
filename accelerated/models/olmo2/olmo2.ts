/** OLMo 2 (AllenAI, 2024): LLaMA with norms of the sublayers' outputs instead of their inputs, and of all queries and all keys of a token. */
import type { Architecture } from '../architecture.js'
import { llama, type FamilyDesign } from '../llama/family.js'
import { decoderArchitecture } from '../llama/llama.js'

export const olmo2: FamilyDesign = {
  ...{ ...llama, modelType: 'olmo2', classNames: ['Olmo2', 'Olmo2'], queryKeyNorms: 'together' },
  norms: {
    attention: { before: null, after: 'post_attention_layernorm' },
    feedForward: { before: null, after: 'post_feedforward_layernorm' },
  },
  defaults: { ...llama.defaults, rms_norm_eps: 1e-5 },
  gguf: { architecture: 'olmo2', interleaved: false, windows: false },
}

export const olmo2Architecture: Architecture = decoderArchitecture(olmo2)
