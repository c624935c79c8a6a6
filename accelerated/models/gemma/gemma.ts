/** Gemma 2 (2024) and 3 (2025), and what llama.cpp's code of them assumes where its files are silent. */
import { inputError } from '../../errors/inputError.js'
import type { Architecture } from '../architecture.js'
import { countKeys, fractionKeys, type WrittenKeys } from '../gguf.js'
import type { DecoderConfig, FamilyDesign } from '../llama/family.js'
import { decoderArchitecture } from '../llama/llama.js'
import { gemma2, gemma2Config, gemma3, gemma3Config } from './config.js'

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

export const gemma2Architecture = gemmaArchitecture(gemma2, gemma2Config, { pattern: 2, largest: 46, rotaryBase: 10_000 })

export const gemma3Architecture: Architecture = {
  ...gemmaArchitecture(gemma3, gemma3Config, { pattern: 6, largest: 62, rotaryBase: 1_000_000 }),
  unread: { gemma3: 'model_type gemma3_text, a model of text alone (one of images and text is not read)' },
}
