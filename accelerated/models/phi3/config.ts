/** The sizes of a Phi-3 or Phi-4 from its config.json. Its layers are LLaMA's, with fused matrices and a rotation of a part of each head. */
import { z } from 'zod'
import { inputError } from '../../errors/inputError.js'
import { validate } from '../../errors/validate.js'
import { probability, size } from '../bert/config.js'
import type { RotaryScaling } from '../layers/rotary.js'
import { plainParts, type DecoderConfig } from '../llama/family.js'

const factors = z.array(z.number().positive()).min(1).max(65_536)
const rope = z.object({
  rope_type: z.string().max(100).optional(),
  type: z.string().max(100).optional(), // the older name
  rope_theta: z.number().positive().optional(),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  short_factor: factors.optional(),
  long_factor: factors.optional(),
  factor: z.number().positive().nullish(),
  attention_factor: z.number().nonnegative().nullish(),
  original_max_position_embeddings: size(100_000_000).optional(),
})

/** The keys read; all others are ignored. Defaults are those of the original configuration class. */
const schema = z.object({
  model_type: z.literal('phi3'),
  vocab_size: size(10_000_000).default(32_064),
  hidden_size: size(65_536).default(3_072),
  intermediate_size: size(1_048_576).default(8_192),
  num_hidden_layers: size(1_024).default(32),
  num_attention_heads: size(1_024).default(32),
  num_key_value_heads: size(1_024).nullish(),
  head_dim: size(65_536).nullish(),
  max_position_embeddings: size(100_000_000).default(4_096),
  original_max_position_embeddings: size(100_000_000).default(4_096),
  rms_norm_eps: z.number().gt(0).lt(1).default(1e-5),
  rope_theta: z.number().positive().optional(),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  rope_scaling: rope.nullish(),
  rope_parameters: rope.nullish(),
  sliding_window: size(100_000_000).nullish(),
  hidden_act: z.literal('silu').default('silu'),
  attention_bias: z.literal(false).default(false),
  attention_dropout: probability.default(0),
  resid_pdrop: z.literal(0).default(0),
  embd_pdrop: z.literal(0).default(0),
  tie_word_embeddings: z.boolean().default(false),
  pad_token_id: z.int().nullish(),
})
type File = z.infer<typeof schema>

/** @param where the file's name in messages @throws InputError if a key is missing or out of bounds, or sizes contradict each other */
export const phi3Config = (json: object, where: string): DecoderConfig => openPhi3(json, where).config

/** Positions of a text, and LongRoPE's factors by pair: of texts within the original positions, and of longer ones. */
export type LongRope = {
  readonly positions: number
  readonly originalPositions: number
  readonly short: readonly number[]
  readonly long: readonly number[]
  readonly attentionFactor: number
}

/** The same, and LongRoPE as the file has it; null: none. */
export const openPhi3 = (json: object, where: string): { readonly config: DecoderConfig; readonly longRope: LongRope | null } => {
  const file = validate(schema, json, where, 'a decoder')
  const { hidden_size: hiddenSize, num_attention_heads: heads, num_hidden_layers: layers, pad_token_id: padding } = file
  const keyValueHeads = file.num_key_value_heads ?? heads
  if (heads % keyValueHeads !== 0)
    throw inputError(where, `num_key_value_heads that divides num_attention_heads ${heads}`, String(keyValueHeads))
  const headSize = file.head_dim ?? hiddenSize / heads
  if (!Number.isInteger(headSize))
    throw inputError(where, `num_attention_heads that divides hidden_size ${hiddenSize} (or head_dim)`, String(heads))
  const own = ropeOf(file)
  const rotarySize = Math.floor(headSize * (own?.partial_rotary_factor ?? file.partial_rotary_factor ?? 1) + 1e-6)
  if (rotarySize < 2 || rotarySize % 2 !== 0)
    throw inputError(where, `a partial_rotary_factor that gives an even part of the ${headSize} numbers of a head`, String(rotarySize))
  const longRope = longRopeOf(file, rotarySize, where)
  const rotaryScaling: RotaryScaling | null =
    longRope === null ? null : { kind: 'longrope', factors: longRope.short, attentionFactor: longRope.attentionFactor }
  const config: DecoderConfig = {
    vocabularySize: file.vocab_size,
    hiddenSize,
    layers,
    heads,
    keyValueHeads,
    headSize,
    intermediateSize: file.intermediate_size,
    // longer texts have other frequencies, from their first token on, which no cache can follow
    maxPositions: Math.min(longRope?.originalPositions ?? Infinity, file.max_position_embeddings),
    rmsNormEpsilon: file.rms_norm_eps,
    rotaryBase: own?.rope_theta ?? file.rope_theta ?? 10_000,
    rotaryScaling,
    rotarySize,
    windows: new Array<number | null>(layers).fill(file.sliding_window ?? null),
    biases: { queryKeyValue: false, attentionOutput: false, feedForward: false },
    ...plainParts,
    tied: file.tie_word_embeddings,
    paddingIndex: padding != null && padding >= 0 && padding < file.vocab_size ? padding : 0, // −1: none
    attentionDropout: file.attention_dropout,
  }
  return { config, longRope }
}

/** The two keys are one thing; the older one goes first, as in transformers. */
const ropeOf = ({ rope_scaling: old, rope_parameters: own }: File) => old ?? own

/** `su` and `yarn` are older names of LongRoPE in files of Phi-3. */
const longRopeOf = (file: File, rotarySize: number, where: string): LongRope | null => {
  const own = ropeOf(file)
  const kind = own?.rope_type ?? own?.type ?? 'default'
  if (own == null || kind === 'default') return null
  const { short_factor: short, long_factor: long } = own
  const pairs = rotarySize / 2
  if (!['longrope', 'su', 'yarn'].includes(kind) || short?.length !== pairs || long?.length !== pairs)
    throw inputError(
      where,
      `a rope_type of default or longrope (with short_factor and long_factor of ${pairs} numbers)`,
      `${kind} with ${short?.length ?? 0} and ${long?.length ?? 0}`,
    )
  const positions = file.max_position_embeddings
  const originalPositions = own.original_max_position_embeddings ?? file.original_max_position_embeddings
  const factor = own.factor ?? positions / originalPositions
  const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalPositions))
  return { positions, originalPositions, short, long, attentionFactor: own.attention_factor ?? usual }
}
