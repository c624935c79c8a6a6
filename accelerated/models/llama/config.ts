/** The sizes of a decoder of LLaMA's kind from its config.json, within bounds that no real decoder exceeds. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { usualAttentionFactor, type RotaryScaling } from '../layers/rotary.js'
import { decoderFamilies, designOf, type DecoderFamily } from './families.js'

/** The settings of the decoder's graph. Sizes are counts; the dropout is a probability in [0, 1). */
export type DecoderConfig = {
  readonly family: DecoderFamily
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  /** number of key and value heads: a divisor of `heads` */
  readonly keyValueHeads: number
  readonly headSize: number
  readonly intermediateSize: number
  readonly maxPositions: number
  readonly rmsNormEpsilon: number
  readonly rotaryBase: number
  readonly rotaryScaling: RotaryScaling | null
  /** numbers of a head that are rotated, from the first on (default: all) */
  readonly rotarySize?: number
  /** per layer, how many tokens a token attends to, itself included; null: all before it */
  readonly windows: ReadonlyArray<number | null>
  /** which matrices have a bias */
  readonly biases: { readonly queryKeyValue: boolean; readonly attentionOutput: boolean; readonly feedForward: boolean }
  /** whether the queries and keys of each head are normalized before they are rotated */
  readonly queryKeyNorms: boolean
  /** whether the output matrix is the embedding table */
  readonly tied: boolean
  readonly paddingIndex: number
  readonly attentionDropout: number
}

const size = (limit: number) => z.int().min(1).max(limit)
const ropeType = z.string().max(100)
const rope = z.object({
  rope_type: ropeType.optional(),
  type: ropeType.optional(), // the older name
  rope_theta: z.number().positive().optional(),
  factor: z.number().positive().nullish(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: size(100_000_000).optional(),
  beta_fast: z.number().nonnegative().nullish(),
  beta_slow: z.number().nonnegative().nullish(),
  attention_factor: z.number().nonnegative().nullish(),
  mscale: z.number().nonnegative().nullish(),
  mscale_all_dim: z.number().nonnegative().nullish(),
  truncate: z.boolean().nullish(),
})

/** The keys read; all others are ignored. Defaults are those of the original configuration classes. */
const schema = z.object({
  model_type: z.enum(decoderFamilies),
  vocab_size: size(10_000_000),
  hidden_size: size(65_536),
  num_hidden_layers: size(1_024),
  num_attention_heads: size(1_024),
  num_key_value_heads: size(1_024).nullish(),
  head_dim: size(65_536).nullish(),
  intermediate_size: size(1_048_576),
  max_position_embeddings: size(100_000_000).default(2_048),
  rms_norm_eps: z.number().gt(0).lt(1).default(1e-6),
  rope_theta: z.number().positive().optional(),
  rope_scaling: rope.nullish(),
  rope_parameters: rope.nullish(),
  hidden_act: z.literal('silu').default('silu'),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(false),
  attention_dropout: z.number().min(0).lt(1).default(0),
  sliding_window: size(100_000_000).nullish(),
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
export const decoderConfig = (json: object, where: string): DecoderConfig => {
  const file = validate(schema, json, where, 'a decoder')
  const design = designOf(file.model_type)
  const { hidden_size: hiddenSize, num_attention_heads: heads } = file
  const keyValueHeads = file.num_key_value_heads ?? heads
  if (heads % keyValueHeads !== 0)
    throw inputError(where, `num_key_value_heads that divides num_attention_heads ${heads}`, String(keyValueHeads))
  const headSize = file.head_dim ?? design.headSize ?? hiddenSize / heads
  if (!Number.isInteger(headSize))
    throw inputError(where, `num_attention_heads that divides hidden_size ${hiddenSize} (or head_dim)`, String(heads))
  if (headSize % 2 !== 0) throw inputError(where, 'heads of an even size, whose halves are turned against each other', String(headSize))
  if (design.windowed === 'enabled' && file.layer_types != null && file.layer_types.length !== file.num_hidden_layers)
    throw inputError(where, `layer_types of ${file.num_hidden_layers} layers`, String(file.layer_types.length))
  const padding = file.pad_token_id ?? 0
  const asked = design.attentionBiases === 'asked'
  return {
    family: file.model_type,
    vocabularySize: file.vocab_size,
    hiddenSize,
    layers: file.num_hidden_layers,
    heads,
    keyValueHeads,
    headSize,
    intermediateSize: file.intermediate_size,
    maxPositions: file.max_position_embeddings,
    rmsNormEpsilon: file.rms_norm_eps,
    rotaryBase: rotaryBaseOf(file),
    rotaryScaling: scalingOf(file, where),
    windows: Array.from({ length: file.num_hidden_layers }, (_, layer) => windowOf(file, layer)),
    biases: {
      queryKeyValue: !asked || file.attention_bias,
      attentionOutput: asked && file.attention_bias,
      feedForward: file.mlp_bias,
    },
    queryKeyNorms: design.queryKeyNorms,
    tied: file.tie_word_embeddings,
    paddingIndex: padding >= 0 && padding < file.vocab_size ? padding : 0, // −1: none
    attentionDropout: file.attention_dropout,
  }
}

/** A window that is enabled is in the layers that the file names, or else in the upper ones. */
const windowOf = (
  { model_type: type, sliding_window: window = 4096, use_sliding_window: used, max_window_layers: from = 28, layer_types: types }: File,
  layer: number,
) => {
  const { windowed } = designOf(type)
  if (windowed === 'never') return null
  if (windowed === 'everywhere') return window
  const isSliding = types == null ? layer >= from : types[layer] === 'sliding_attention'
  return used === true && isSliding ? window : null
}

/** The two keys are one thing; the older one goes first, as in transformers. */
const ropeOf = ({ rope_scaling: old, rope_parameters: own }: File) => old ?? own

const rotaryBaseOf = (file: File): number => ropeOf(file)?.rope_theta ?? file.rope_theta ?? 10_000

const scalingOf = (file: File, where: string): RotaryScaling | null => {
  const scaling = ropeOf(file)
  const kind = scaling?.rope_type ?? scaling?.type ?? 'default'
  if (scaling == null || kind === 'default') return null
  if (kind === 'dynamic') return null // it differs from the default only beyond max_position_embeddings, which no text exceeds
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling
  if (kind === 'linear' && factor != null) return { kind, factor }
  if (kind === 'llama3' && factor != null && low !== undefined && high !== undefined && original !== undefined && low < high)
    return { kind, factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions: original }
  if (kind === 'yarn' && rotaryBaseOf(file) > 1) return yarnOf(scaling, file.max_position_embeddings)
  throw inputError(
    where,
    'a rope_type of default, dynamic, linear (with factor), llama3 (with factor, low_freq_factor below high_freq_factor, original_max_position_embeddings) or yarn (with rope_theta above 1)',
    `${quoted(kind)} ${JSON.stringify(scaling)}`,
  )
}

/** With the defaults of transformers: 0 is none, the factor is that of the positions, and the attention's factor follows from it. */
const yarnOf = (scaling: z.infer<typeof rope>, positions: number): RotaryScaling => {
  const originalPositions = scaling.original_max_position_embeddings ?? positions
  const factor = scaling.factor ?? positions / originalPositions
  const { mscale, mscale_all_dim: ofAll } = scaling
  const inferred =
    mscale && ofAll ? usualAttentionFactor(factor, mscale) / usualAttentionFactor(factor, ofAll) : usualAttentionFactor(factor)
  return {
    kind: 'yarn',
    factor,
    betaFast: scaling.beta_fast || 32,
    betaSlow: scaling.beta_slow || 1,
    originalPositions,
    truncate: scaling.truncate ?? true,
    attentionFactor: scaling.attention_factor ?? inferred,
  }
}
