/** Gemma (2024), 2 (2024) and 3 (2025): what they have beside LLaMA's layers, and what llama.cpp's code of them assumes where its files are silent. */
import { inputError } from '../../errors/inputError.js'
import type { Architecture } from '../architecture.js'
import { countKeys, fractionKeys, type WrittenKeys } from '../gguf.js'
import { type DecoderConfig, type FamilyDesign, llama, queriesAndValues } from '../llama/family.js'
import { decoderArchitecture } from '../llama/llama.js'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { decoderConfig, ropeSchema, parseRotary } from '../llama/config.js'

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
  ia3Targets: queriesAndValues,
  activation: { key: 'hidden_activation', value: 'gelu_pytorch_tanh' },
  defaults: {
    ...{ hidden_activation: 'gelu_pytorch_tanh', head_dim: 256, query_pre_attn_scalar: 256, tie_word_embeddings: true },
    ...{ max_position_embeddings: 8_192, sliding_window_pattern: 2, attn_logit_softcapping: 50, final_logit_softcapping: 30 },
  },
  gguf: { architecture: 'gemma2', interleaved: false, windows: true },
}

const gemma3: FamilyDesign = {
  ...{ ...gemma2, modelType: 'gemma3_text', classNames: ['Gemma3', 'Gemma3Text'], queryKeyNorms: true },
  defaults: {
    ...{ ...gemma2.defaults, max_position_embeddings: 131_072, sliding_window_pattern: 6, final_logit_softcapping: null },
    ...{ rope_theta: 1_000_000, rope_local_base_freq: 10_000 },
  },
  gguf: { architecture: 'gemma3', interleaved: false, windows: true },
}

/** Gemma: LLaMA with Gemma 2's embeddings, norms and activation. */
export const gemma: FamilyDesign = {
  ...{ ...gemma2, modelType: 'gemma', classNames: ['Gemma', 'Gemma'], windowed: 'never', norms: llama.norms },
  activation: { key: 'hidden_act', value: 'gelu_pytorch_tanh' },
  defaults: { hidden_act: 'gelu_pytorch_tanh', head_dim: 256, tie_word_embeddings: true, max_position_embeddings: 8_192 },
  gguf: { architecture: 'gemma', interleaved: false, windows: false },
}

/** The first files say gelu, and mean its tanh form, by which the models were trained. */
export const gemmaConfig = (json: object, where: string): DecoderConfig => {
  const isOld = 'hidden_act' in json && json.hidden_act === 'gelu'
  const config = decoderConfig(gemma, isOld ? { ...json, hidden_act: gemma.activation.value } : json, where)
  return { ...config, embeddingScale: Math.fround(Math.sqrt(config.hiddenSize)) }
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
    ...parseRotary({ ...parameters?.full_attention, ...scaling }, by(file.rope_theta), where),
    localRotary: parseRotary(parameters?.sliding_attention, by(file.rope_local_base_freq), where),
  }
}

/** Each layer of this number, or a multiple of it, has no window. Of as many layers as the largest model, scores are scaled otherwise. */
type Assumed = { readonly pattern: number; readonly largest: number; readonly rotaryBase: number }

const gemmaArchitecture = (design: FamilyDesign, read: (json: object, where: string) => DecoderConfig, assumed: Assumed): Architecture => {
  const entry = decoderArchitecture(design, read)
  return {
    ...entry,
    gguf: {
      ...entry.gguf,
      write: (json, where) => {
        const { keys, factors } = entry.gguf.write(json, where)
        return { keys: [...keys, ...gemmaKeys(read(json, where), assumed, where)], factors }
      },
      read: (file) => {
        const { attention_bias: _, mlp_bias: __, ...sizes } = entry.gguf.read(file)
        const { num_hidden_layers: layers, hidden_size: hiddenSize, num_attention_heads: heads, head_dim: headSize } = sizes
        return {
          ...sizes,
          query_pre_attn_scalar: queryScalar({ layers, hiddenSize, heads, headSize }, assumed),
          sliding_window: file.number('attention.sliding_window') ?? 4096,
          sliding_window_pattern: assumed.pattern,
          attn_logit_softcapping: file.number('attn_logit_softcapping') ?? null,
          final_logit_softcapping: file.number('final_logit_softcapping') ?? null,
          rope_theta: file.number('rope.freq_base') ?? assumed.rotaryBase,
          ...(design === gemma2 ? {} : { rope_local_base_freq: file.number('rope.freq_base_swa') ?? 10_000 }),
        }
      },
    },
  }
}

type Sizes = Pick<DecoderConfig, 'layers' | 'hiddenSize' | 'heads' | 'headSize'>

/** The scores are divided by the root of it. */
const queryScalar = ({ layers, hiddenSize, heads, headSize }: Sizes, { largest }: Assumed): number =>
  layers === largest ? hiddenSize / heads : headSize

/** @throws InputError for windows, scales or a local rotation that llama.cpp's code of the family does not have */
const gemmaKeys = (config: DecoderConfig, assumed: Assumed, where: string): WrittenKeys => {
  const { windows, scoreCap, logitCap, localRotary } = config
  const { pattern } = assumed
  const expected = queryScalar(config, assumed)
  const scalar = 1 / ((config.scoreScale ?? NaN) * (config.scoreScale ?? NaN))
  if (Math.abs(scalar - expected) > 1e-6 * expected)
    throw inputError(where, `query_pre_attn_scalar ${expected}, for GGUF`, String(Math.round(scalar * 1e6) / 1e6))
  const odd = windows.findIndex((window, layer) => (window === null) !== ((layer + 1) % pattern === 0))
  if (odd >= 0)
    throw inputError(where, `full attention in layers ${pattern}, ${2 * pattern}, … alone, for GGUF`, `otherwise in layer ${odd + 1}`)
  if (localRotary !== null && localRotary.rotaryScaling !== null)
    throw inputError(where, 'layers with a window whose rotation is not scaled, for GGUF', localRotary.rotaryScaling.kind)
  return [
    ...countKeys({ 'attention.sliding_window': windows.find((window) => window !== null) ?? config.maxPositions }),
    ...fractionKeys({
      attn_logit_softcapping: scoreCap,
      final_logit_softcapping: logitCap,
      'rope.freq_base_swa': localRotary?.rotaryBase ?? null,
    }),
  ]
}

export const gemma1Architecture: Architecture = decoderArchitecture(gemma, gemmaConfig)

export const gemma2Architecture = gemmaArchitecture(gemma2, gemma2Config, { pattern: 2, largest: 46, rotaryBase: 10_000 })

export const gemma3Architecture: Architecture = {
  ...gemmaArchitecture(gemma3, gemma3Config, { pattern: 6, largest: 62, rotaryBase: 1_000_000 }),
  unread: { gemma3: 'model_type gemma3_text, a model of text alone (one of images and text is not read)' },
}
