/** Qwen2 (Yang et al., 2024) and Qwen3 (2025): LLaMA with windows in upper layers if a file enables them, and with biases or with norms of queries and keys. */
import type { Architecture } from '../architecture.js'
import { llama, type FamilyDesign } from '../llama/family.js'
import { decoderArchitecture } from '../llama/llama.js'

export const qwen2: FamilyDesign = {
  ...{ ...llama, modelType: 'qwen2', classNames: ['Qwen2', 'Qwen2'], windowed: 'enabled', attentionBiases: 'queryKeyValue' },
  gguf: { architecture: 'qwen2', interleaved: false, windows: false },
}

export const qwen3: FamilyDesign = {
  ...{ ...llama, modelType: 'qwen3', classNames: ['Qwen3', 'Qwen3'], windowed: 'enabled', queryKeyNorms: true },
  defaults: { ...llama.defaults, head_dim: 128 },
  gguf: { architecture: 'qwen3', interleaved: false, windows: false },
}

export const qwen2Architecture: Architecture = decoderArchitecture(qwen2)
export const qwen3Architecture: Architecture = decoderArchitecture(qwen3)
