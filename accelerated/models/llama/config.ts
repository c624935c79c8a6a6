/** The sizes of a decoder of LLaMA's kind from its config.json, within bounds that no real decoder exceeds. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { decoderFamilies, designOf, type Activation, type DecoderFamily, type FamilyDesign, type SublayerNorms } from './families.js'
import { ropeSchema, rotaryOf, type Rotary } from './rotaryConfig.js'

/** The settings of the decoder's graph. Sizes are counts; the dropout is a probability in [0, 1). */
export type DecoderConfig = Rotary & {
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
  /** the rotation of layers with a window; null: as that of the others */
  readonly localRotary: Rotary | null
  /** numbers of a head that are rotated, from the first on (default: all) */
  readonly rotarySize?: number
  /** per layer, how many tokens a token attends to, itself included; null: all before it */
  readonly windows: ReadonlyArray<number | null>
  /** which matrices have a bias */
  readonly biases: { readonly queryKeyValue: boolean; readonly attentionOutput: boolean; readonly feedForward: boolean }
  readonly norms: { readonly attention: SublayerNorms; readonly feedForward: SublayerNorms }
  /** 1 where a norm multiplies by 1 + its weights */
  readonly normOffset: 0 | 1
  /** whether the queries and keys of each head are normalized before they are rotated */
  readonly queryKeyNorms: boolean
  /** of the gate */
  readonly activation: Activation
  /** the factor of the word embeddings */
  readonly embeddingScale: number
  /** the factor of QKᵀ; null: 1 / √headSize */
  readonly scoreScale: number | null
  /** the bound c of c tanh(x / c), for scores and for logits of words; null: none */
  readonly scoreCap: number | null
  readonly logitCap: number | null
  /** whether the output matrix is the embedding table */
  readonly tied: boolean
  readonly paddingIndex: number
  readonly attentionDropout: number
}

type PlainParts =
  | 'localRotary'
  | 'norms'
  | 'normOffset'
  | 'queryKeyNorms'
  | 'activation'
  | 'embeddingScale'
  | 'scoreScale'
  | 'scoreCap'
  | 'logitCap'

/** LLaMA's, which other families share. */
export const plainParts: Pick<DecoderConfig, PlainParts> = {
  ...{ localRotary: null, norms: designOf('llama').norms, normOffset: 0, queryKeyNorms: false, activation: 'silu' },
  ...{ embeddingScale: 1, scoreScale: null, scoreCap: null, logitCap: null },
}

const size = (limit: number) => z.int().min(1).max(limit)
const cap = z.number().positive().nullish()

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
  rope_theta: z.number().positive().default(10_000),
  rope_local_base_freq: z.number().positive().default(10_000),
  rope_scaling: ropeSchema.nullish(),
  rope_parameters: ropeSchema.extend({ full_attention: ropeSchema.nullish(), sliding_attention: ropeSchema.nullish() }).nullish(),
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
  query_pre_attn_scalar: z.number().positive().optional(),
  attn_logit_softcapping: cap,
  final_logit_softcapping: cap,
  use_bidirectional_attention: z.boolean().nullish(),
  pad_token_id: z.int().nullish(),
})
type File = z.infer<typeof schema>

/** @param where the file's name in messages @throws InputError if a key is missing or out of bounds, or sizes contradict each other */
export const decoderConfig = (json: object, where: string): DecoderConfig => {
  const { model_type: family } = validate(schema.pick({ model_type: true }), json, where, 'a decoder')
  const design = designOf(family)
  const file = validate(schema, { ...design.defaults, ...json }, where, 'a decoder')
  const headSize = headSizeOf(file, where)
  checkDesign(file, design, where)
  const padding = file.pad_token_id ?? 0
  const asked = design.attentionBiases === 'asked'
  return {
    family,
    vocabularySize: file.vocab_size,
    hiddenSize: file.hidden_size,
    layers: file.num_hidden_layers,
    heads: file.num_attention_heads,
    keyValueHeads: file.num_key_value_heads ?? file.num_attention_heads,
    headSize,
    intermediateSize: file.intermediate_size,
    maxPositions: file.max_position_embeddings,
    rmsNormEpsilon: file.rms_norm_eps,
    ...rotationsOf(file, design, where),
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
    embeddingScale: design.scaledEmbeddings ? Math.fround(Math.sqrt(file.hidden_size)) : 1, // transformers has it in float32
    scoreScale: design.queryScalar && file.query_pre_attn_scalar !== undefined ? 1 / Math.sqrt(file.query_pre_attn_scalar) : null,
    scoreCap: design.capped.includes('scores') ? (file.attn_logit_softcapping ?? null) : null,
    logitCap: design.capped.includes('logits') ? (file.final_logit_softcapping ?? null) : null,
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

const checkDesign = (file: File, { activation, windowed, localRotation }: FamilyDesign, where: string): void => {
  const given = file[activation.key]
  if (given !== activation.value) throw inputError(where, `${activation.key} ${activation.value}`, quoted(String(given)))
  const types = file.layer_types
  if ((windowed === 'enabled' || windowed === 'pattern') && types != null && types.length !== file.num_hidden_layers)
    throw inputError(where, `layer_types of ${file.num_hidden_layers} layers`, String(types.length))
  if (localRotation && file.sliding_window === null) throw inputError(where, 'a sliding_window', 'null')
  if (windowed === 'pattern' && file.use_bidirectional_attention === true)
    throw inputError(where, 'a decoder, whose tokens see only earlier ones', 'use_bidirectional_attention true')
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

/** rope_scaling is the older name of rope_parameters, and goes first, as in transformers. */
const rotationsOf = (file: File, { localRotation }: FamilyDesign, where: string): Pick<DecoderConfig, keyof Rotary | 'localRotary'> => {
  const { rope_scaling: scaling, rope_parameters: parameters } = file
  const [own, local] = [file.rope_theta, file.rope_local_base_freq].map((base) => ({ base, maxPositions: file.max_position_embeddings }))
  if (!localRotation) return { ...rotaryOf(scaling ?? parameters, own!, where), localRotary: null }
  return {
    ...rotaryOf({ ...parameters?.full_attention, ...scaling }, own!, where),
    localRotary: rotaryOf(parameters?.sliding_attention, local!, where),
  }
}
