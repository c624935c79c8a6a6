/** The keys of GGUF that Gemma has beside LLaMA's: caps, the window, and the rotation of layers that have it. */
import { gemmaQueryScalar, gemmaWindowPatterns } from '../../checkpoints/gguf/gemmaGguf.js'
import type { WrittenKeys } from '../../checkpoints/gguf/writeGguf.js'
import { inputError } from '../../errors/inputError.js'
import type { DecoderConfig } from '../../models/llama/config.js'

/** @throws InputError for windows, scales or a local rotation that llama.cpp's code of the family does not have */
export const gemmaKeys = (config: DecoderConfig, where: string): WrittenKeys => {
  const { windows, scoreCap, logitCap, localRotary } = config
  const pattern = gemmaWindowPatterns[config.family] ?? 1
  const expected = gemmaQueryScalar(config)
  const scalar = 1 / ((config.scoreScale ?? NaN) * (config.scoreScale ?? NaN))
  if (Math.abs(scalar - expected) > 1e-6 * expected)
    throw inputError(where, `query_pre_attn_scalar ${expected}, for GGUF`, String(Math.round(scalar * 1e6) / 1e6))
  const odd = windows.findIndex((window, layer) => (window === null) !== ((layer + 1) % pattern === 0))
  if (odd >= 0)
    throw inputError(where, `full attention in layers ${pattern}, ${2 * pattern}, … alone, for GGUF`, `otherwise in layer ${odd + 1}`)
  if (localRotary !== null && localRotary.rotaryScaling !== null)
    throw inputError(where, 'layers with a window whose rotation is not scaled, for GGUF', localRotary.rotaryScaling.kind)
  const number = (key: string, value: number | null): WrittenKeys => (value === null ? [] : [[key, { type: 'float32', value }]])
  return [
    ['attention.sliding_window', { type: 'uint32', value: windows.find((window) => window !== null) ?? config.maxPositions }],
    ...number('attn_logit_softcapping', scoreCap),
    ...number('final_logit_softcapping', logitCap),
    ...number('rope.freq_base_swa', localRotary?.rotaryBase ?? null),
  ]
}
