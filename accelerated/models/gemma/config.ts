/** config.json of Gemma 2 and 3: what they have beside LLaMA's layers. */
import { z } from 'zod'
import { inputError } from '../../errors/inputError.js'
import { validate } from '../../errors/validate.js'
import { decoderConfig } from '../llama/config.js'
import { llama, type DecoderConfig, type FamilyDesign } from '../llama/family.js'
import { ropeSchema, rotaryOf } from '../llama/rotaryConfig.js'

export const gemma2: FamilyDesign = {
  ...llama,
  modelType: 'gemma2',
  classNames: ['Gemma2', 'Gemma2'],
  windowed: 'pattern',
  norms: {
    attention: { before: 'input_layernorm', after: 'post_attention_layernorm' },
    feedForward: { before: 'pre_feedforward_layernorm', after: 'post_feedforward_layernorm' },
  },
  normOffset: 1,
  activation: { key: 'hidden_activation', value: 'gelu_pytorch_tanh' },
  defaults: {
    ...{ hidden_activation: 'gelu_pytorch_tanh', head_dim: 256, query_pre_attn_scalar: 256, tie_word_embeddings: true },
    ...{ max_position_embeddings: 8_192, sliding_window_pattern: 2, attn_logit_softcapping: 50, final_logit_softcapping: 30 },
  },
  gguf: { architecture: 'gemma2', interleaved: false, windows: true },
}

export const gemma3: FamilyDesign = {
  ...{ ...gemma2, modelType: 'gemma3_text', classNames: ['Gemma3', 'Gemma3Text'], queryKeyNorms: true },
  defaults: {
    ...{ ...gemma2.defaults, max_position_embeddings: 131_072, sliding_window_pattern: 6, final_logit_softcapping: null },
    ...{ rope_theta: 1_000_000, rope_local_base_freq: 10_000 },
  },
  gguf: { architecture: 'gemma3', interleaved: false, windows: true },
}

const cap = z.number().positive().nullish()
const schema = z.object({
  query_pre_attn_scalar: z.number().positive(),
  attn_logit_softcapping: cap,
  final_logit_softcapping: cap,
  use_bidirectional_attention: z.boolean().nullish(),
})

/** The word embeddings are multiplied by the root of the hidden size, which transformers has in float32. Scores have a scale and a cap of their own. */
export const gemma2Config = (json: object, where: string): DecoderConfig => {
  const { config, file } = readShared(gemma2, json, where)
  return { ...config, scoreCap: file.attn_logit_softcapping ?? null }
}

const readShared = (
  design: FamilyDesign,
  json: object,
  where: string,
): { readonly config: DecoderConfig; readonly file: z.infer<typeof schema> } => {
  const config = decoderConfig(design, json, where)
  const file = validate(schema, { ...design.defaults, ...json }, where, 'a decoder')
  if (file.use_bidirectional_attention === true)
    throw inputError(where, 'a decoder, whose tokens see only earlier ones', 'use_bidirectional_attention true')
  const own = {
    embeddingScale: Math.fround(Math.sqrt(config.hiddenSize)),
    scoreScale: 1 / Math.sqrt(file.query_pre_attn_scalar),
    logitCap: file.final_logit_softcapping ?? null,
  }
  return { config: { ...config, ...own }, file }
}

const rotationSchema = z.object({
  rope_theta: z.number().positive(),
  rope_local_base_freq: z.number().positive(),
  sliding_window: z.number().nullish(),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: z.object({ full_attention: ropeSchema.nullish(), sliding_attention: ropeSchema.nullish() }).nullish(),
})

/** Layers with a window have a rotation of their own. Scores have no cap. */
export const gemma3Config = (json: object, where: string): DecoderConfig => {
  const { config } = readShared(gemma3, json, where)
  const file = validate(rotationSchema, { ...gemma3.defaults, ...json }, where, 'a decoder')
  if (file.sliding_window === null) throw inputError(where, 'a sliding_window', 'null')
  const { rope_scaling: scaling, rope_parameters: parameters } = file
  const by = (base: number) => ({ base, maxPositions: config.maxPositions })
  return {
    ...config,
    ...rotaryOf({ ...parameters?.full_attention, ...scaling }, by(file.rope_theta), where),
    localRotary: rotaryOf(parameters?.sliding_attention, by(file.rope_local_base_freq), where),
  }
}
