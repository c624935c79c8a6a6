/** The sizes of a decoder of LLaMA's kind from its config.json, by the family of its model_type. */
import { gemma2Config, gemma3Config, gemmaConfig } from '../../accelerated/models/gemma/gemma.js'
import { decoderConfig } from '../../accelerated/models/llama/config.js'
import { llama, type DecoderConfig } from '../../accelerated/models/llama/family.js'
import { ministral, mistral, qwen2, qwen3 } from '../../accelerated/models/llama/llama.js'
import { olmo2 } from '../../accelerated/models/olmo2/olmo2.js'
import { smollm3Config } from '../../accelerated/models/smollm3/smollm3.js'

export const readDecoderConfig = (json: object): DecoderConfig => {
  const where = 'config.json'
  const type = 'model_type' in json ? json.model_type : undefined
  if (type === 'gemma') return gemmaConfig(json, where)
  if (type === 'smollm3') return smollm3Config(json, where)
  if (type === 'gemma2') return gemma2Config(json, where)
  if (type === 'gemma3_text') return gemma3Config(json, where)
  const design = [llama, ministral, mistral, olmo2, qwen2, qwen3].find(({ modelType }) => modelType === type)
  if (design === undefined) throw new Error(`expected a family of LLaMA's kind, got ${String(type)}`)
  return decoderConfig(design, json, where)
}
