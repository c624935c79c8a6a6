/** SmolLM3 (Hugging Face, 2025): LLaMA without a rotation in every fourth layer (NoPE: Yang et al., 2025). */
import { z } from 'zod'
import { inputError } from '../../errors/inputError.js'
import { validate } from '../../errors/validate.js'
import type { Architecture } from '../architecture.js'
import { decoderConfig } from '../llama/config.js'
import { llama, type DecoderConfig, type FamilyDesign } from '../llama/family.js'
import { decoderArchitecture } from '../llama/llama.js'

const smollm3: FamilyDesign = {
  ...{ ...llama, modelType: 'smollm3', classNames: ['SmolLM3', 'SmolLM3'], windowed: 'enabled' },
  defaults: { ...llama.defaults, num_key_value_heads: 4, max_position_embeddings: 32_768, tie_word_embeddings: true },
  gguf: { architecture: 'smollm3', interleaved: true, windows: false },
}

const schema = z.object({
  num_hidden_layers: z.int().min(1).max(1_024),
  no_rope_layers: z.array(z.int().min(0).max(1)).max(1_024).nullish(), // 1: has a rotation
  no_rope_layer_interval: z.int().min(1).max(1_024).default(4),
  layer_types: z.unknown().optional(),
})

/** llama.cpp's only interval. */
const interval = 4

export const smollm3Config = (json: object, where: string): DecoderConfig => {
  const {
    num_hidden_layers: layers,
    no_rope_layers: flags,
    no_rope_layer_interval: every,
    layer_types,
  } = validate(schema, json, where, 'a decoder')
  if (flags != null && flags.length !== layers) throw inputError(where, `no_rope_layers of ${layers} layers`, String(flags.length))
  const rotated = Array.from({ length: layers }, (_, i) => (flags == null ? (i + 1) % every !== 0 : flags[i] === 1))
  const types = layer_types ?? rotated.map((isRotated) => (isRotated ? 'full_attention' : 'sliding_attention'))
  return { ...decoderConfig(smollm3, { ...json, layer_types: types }, where), rotated }
}

const entry = decoderArchitecture(smollm3, smollm3Config)

export const smollm3Architecture: Architecture = {
  ...entry,
  gguf: {
    ...entry.gguf,
    write: (json, where) => {
      const odd = smollm3Config(json, where).rotated?.findIndex((isRotated, i) => isRotated === ((i + 1) % interval === 0)) ?? -1
      if (odd >= 0)
        throw inputError(where, `no rotation in layers ${interval}, ${2 * interval}, … alone, for GGUF`, `otherwise in layer ${odd + 1}`)
      return entry.gguf.write(json, where)
    },
  },
}
