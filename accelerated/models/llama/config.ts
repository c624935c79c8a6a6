/** The sizes of a decoder of LLaMA's kind from its config.json, within bounds that no real decoder exceeds. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { noScales, type DecoderConfig, type FamilyDesign } from './family.js'
import { ropeSchema, rotaryOf } from './rotaryConfig.js'

const size = (limit: number) => z.int().min(1).max(limit)

/** The keys read; all others are ignored. Defaults are those of the original configuration classes. */
const schema = z.object({
  vocab_size: size(10_000_000),
  hidden_size: size(65_536),
  num_hidden_layers: size(1_024),
  num_attention_heads: size(1_024),
  num_key_value_heads: size(1_024).nullish(),
  head_dim: size(65_536).nullish(),
  intermediate_size: size(1_048_576),
  max_position_embeddings: size(100_000_000).default(2_048),
  rms_norm_eps: z.number().gt(0).lt(1).default(1e-6),
  rope_theta: z.number().positive().default(10_000),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.nullish(),
  hidden_act: z.string().max(100).nullish(),
  hidden_activation: z.string().max(100).nullish(),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
  attention_dropout: z.number().min(0).lt(1).default(0),
  sliding_window: size(100_000_000).nullish(),
  sliding_window_pattern: size(1_024).optional(),
  use_sliding_window: z.boolean().optional(),
  max_window_layers: z.int().min(0).optional(),
  layer_types: z
    .array(z.enum(['full_attention', 'sliding_attention']))
    .max(1_024)
    .nullish(),
  pad_token_id: z.int().nullish(),
})
type File = z.infer<typeof schema>

/** @param where the file's name in messages @throws InputError if a key is missing or out of bounds, or sizes contradict each other */
export const decoderConfig = (design: FamilyDesign, json: object, where: string): DecoderConfig => {
  const file = validate(schema, { ...design.defaults, ...json }, where, 'a decoder')
  const headSize = headSizeOf(file, where)
  checkDesign(file, design, where)
  const padding = file.pad_token_id ?? 0
  const asked = design.attentionBiases === 'asked'
  return {
    vocabularySize: file.vocab_size,
    hiddenSize: file.hidden_size,
    layers: file.num_hidden_layers,
    heads: file.num_attention_heads,
    keyValueHeads: file.num_key_value_heads ?? file.num_attention_heads,
    headSize,
    intermediateSize: file.intermediate_size,
    maxPositions: file.max_position_embeddings,
    rmsNormEpsilon: file.rms_norm_eps,
    // rope_scaling is the older name of rope_parameters, and goes first, as in transformers
    ...rotaryOf(file.rope_scaling ?? file.rope_parameters, { base: file.rope_theta, maxPositions: file.max_position_embeddings }, where),
    windows: Array.from({ length: file.num_hidden_layers }, (_, layer) => windowOf(file, design, layer)),
    biases: {
      queryKeyValue: !asked || file.attention_bias,
      attentionOutput: asked && file.attention_bias,
      feedForward: file.mlp_bias,
    },
    norms: design.norms,
    normOffset: design.normOffset,
    queryKeyNorms: design.queryKeyNorms,
    activation: design.activation.value,
    ...noScales,
    tied: file.tie_word_embeddings,
    paddingIndex: padding >= 0 && padding < file.vocab_size ? padding : 0, // −1: none
    attentionDropout: file.attention_dropout,
  }
}

const headSizeOf = (file: File, where: string): number => {
  const { hidden_size: hiddenSize, num_attention_heads: heads, num_key_value_heads: keyValueHeads } = file
  if (heads % (keyValueHeads ?? heads) !== 0)
    throw inputError(where, `num_key_value_heads that divides num_attention_heads ${heads}`, String(keyValueHeads))
  const headSize = file.head_dim ?? hiddenSize / heads
  if (!Number.isInteger(headSize))
    throw inputError(where, `num_attention_heads that divides hidden_size ${hiddenSize} (or head_dim)`, String(heads))
  if (headSize % 2 !== 0) throw inputError(where, 'heads of an even size, whose halves are turned against each other', String(headSize))
  return headSize
}

const checkDesign = (file: File, { activation, windowed }: FamilyDesign, where: string): void => {
  const given = file[activation.key]
  if (given !== activation.value) throw inputError(where, `${activation.key} ${activation.value}`, quoted(String(given)))
  const types = file.layer_types
  if ((windowed === 'enabled' || windowed === 'pattern') && types != null && types.length !== file.num_hidden_layers)
    throw inputError(where, `layer_types of ${file.num_hidden_layers} layers`, String(types.length))
}

/** A window that is enabled is in the layers that the file names, or else in the upper ones. */
const windowOf = (file: File, { windowed }: FamilyDesign, layer: number): number | null => {
  const { sliding_window: window = 4096, layer_types: types } = file
  if (windowed === 'never') return null
  if (windowed === 'everywhere') return window
  const isNamed = (otherwise: boolean): boolean => (types == null ? otherwise : types[layer] === 'sliding_attention')
  if (windowed === 'pattern') return isNamed((layer + 1) % (file.sliding_window_pattern ?? 1) !== 0) ? window : null
  return file.use_sliding_window === true && isNamed(layer >= (file.max_window_layers ?? 28)) ? window : null
}
