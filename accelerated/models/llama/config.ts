/** The sizes and the rotation of a decoder of LLaMA's kind from its config.json, within bounds that no real decoder exceeds, with the defaults of transformers. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { noScales, type DecoderConfig, type FamilyDesign, type Rotary } from './family.js'
import { usualAttentionFactor, type RotaryScaling } from '../layers/rotary.js'

const positions = z.int().min(1).max(100_000_000)
const ropeType = z.string().max(100)
export const ropeSchema = z.object({
  rope_type: ropeType.optional(),
  type: ropeType.optional(), // the older name
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().nullish(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: positions.optional(),
  beta_fast: z.number().nonnegative().nullish(),
  beta_slow: z.number().nonnegative().nullish(),
  attention_factor: z.number().nonnegative().nullish(),
  mscale: z.number().nonnegative().nullish(),
  mscale_all_dim: z.number().nonnegative().nullish(),
  truncate: z.boolean().nullish(),
})
type Rope = z.infer<typeof ropeSchema>

/** @param otherwise what holds where `rope` is silent @throws InputError for another scaling, and for one that lacks a number */
export const parseRotary = (
  rope: Rope | null | undefined,
  otherwise: { readonly base: number; readonly maxPositions: number },
  where: string,
): Rotary => {
  const rotaryBase = rope?.rope_theta ?? otherwise.base
  return { rotaryBase, rotaryScaling: parseScaling(rope ?? {}, rotaryBase, otherwise.maxPositions, where) }
}

const parseScaling = (rope: Rope, base: number, maxPositions: number, where: string): RotaryScaling | null => {
  const kind = rope.rope_type ?? rope.type ?? 'default'
  if (kind === 'default') return null
  if (kind === 'dynamic')
    throw inputError(
      where,
      'a rope_type whose rotation does not depend on the longest text of a batch (remove it: up to max_position_embeddings nothing changes)',
      'dynamic',
    )
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = rope
  if (kind === 'linear' && factor != null) return { kind, factor }
  if (kind === 'llama3' && factor != null && low !== undefined && high !== undefined && original !== undefined && low < high)
    return { kind, factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions: original }
  if (kind === 'yarn' && base > 1) return parseYarn(rope, maxPositions)
  throw inputError(
    where,
    'a rope_type of default, linear (with factor), llama3 (with factor, low_freq_factor below high_freq_factor, original_max_position_embeddings) or yarn (with rope_theta above 1)',
    `${quoted(kind)} ${JSON.stringify(rope)}`,
  )
}

/** With the defaults of transformers: 0 is none, the factor is that of the positions, and the attention's factor follows from it. */
const parseYarn = (rope: Rope, maxPositions: number): RotaryScaling => {
  const originalPositions = rope.original_max_position_embeddings ?? maxPositions
  const factor = rope.factor ?? maxPositions / originalPositions
  const { mscale, mscale_all_dim: ofAll } = rope
  const inferred =
    mscale && ofAll ? usualAttentionFactor(factor, mscale) / usualAttentionFactor(factor, ofAll) : usualAttentionFactor(factor)
  return {
    kind: 'yarn',
    factor,
    betaFast: rope.beta_fast || 32,
    betaSlow: rope.beta_slow || 1,
    originalPositions,
    truncate: rope.truncate ?? true,
    attentionFactor: rope.attention_factor ?? inferred,
  }
}

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
  const headSize = readHeadSize(file, where)
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
    ...parseRotary(file.rope_scaling ?? file.rope_parameters, { base: file.rope_theta, maxPositions: file.max_position_embeddings }, where),
    windows: Array.from({ length: file.num_hidden_layers }, (_, layer) => chooseWindow(file, design, layer)),
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

const readHeadSize = (file: File, where: string): number => {
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
const chooseWindow = (file: File, { windowed }: FamilyDesign, layer: number): number | null => {
  const { sliding_window: window = 4096, layer_types: types } = file
  if (windowed === 'never') return null
  if (windowed === 'everywhere') return window
  const isNamed = (otherwise: boolean): boolean => (types == null ? otherwise : types[layer] === 'sliding_attention')
  if (windowed === 'pattern') return isNamed((layer + 1) % (file.sliding_window_pattern ?? 1) !== 0) ? window : null
  return file.use_sliding_window === true && isNamed(layer >= (file.max_window_layers ?? 28)) ? window : null
}
