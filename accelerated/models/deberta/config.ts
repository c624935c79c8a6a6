/** The sizes of a DeBERTa v2 or v3 from its config.json, and how distances contribute to its scores. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { inputError } from '../../errors/inputError.js'
import { probability, size } from '../bert/config.js'
import { distanceRows, type DistanceKind } from './distances.js'

const kind = z.enum(['c2p', 'p2c'])

/** A text in old files, a list in new ones. */
const parseKinds = (given: unknown): unknown =>
  typeof given === 'string'
    ? given
        .toLowerCase()
        .split('|')
        .map((one) => one.trim())
    : given

/** The keys read; all others are ignored. Defaults are those of the original configuration class. */
const schema = z.object({
  model_type: z.literal('deberta-v2'),
  vocab_size: size(10_000_000),
  hidden_size: size(65_536),
  num_hidden_layers: size(1_024),
  num_attention_heads: size(1_024),
  intermediate_size: size(1_048_576),
  max_position_embeddings: size(1_048_576).default(512),
  type_vocab_size: z.int().min(0).max(1_024).default(0),
  layer_norm_eps: z.number().gt(0).lt(1).default(1e-7),
  hidden_act: z.enum(['gelu', 'gelu_new', 'gelu_pytorch_tanh']).default('gelu'),
  pooler_hidden_act: z.literal('gelu').default('gelu'),
  hidden_dropout_prob: probability.default(0.1),
  attention_probs_dropout_prob: probability.default(0.1),
  pooler_dropout: probability.default(0),
  cls_dropout: probability.nullish(),
  position_biased_input: z.boolean().default(true),
  relative_attention: z.boolean().default(false),
  pos_att_type: z.preprocess(parseKinds, z.array(kind).max(2).nullish()),
  share_att_key: z.boolean().default(false),
  position_buckets: z.int().max(1_048_576).default(-1),
  max_relative_positions: z.int().max(1_048_576).default(-1),
  norm_rel_ebd: z.enum(['none', 'layer_norm']).default('none'),
  /** DeBERTa-v2-xlarge's convolution after the first layer is not supported */
  conv_kernel_size: z.literal(0).nullish(),
  embedding_size: size(65_536).nullish(),
  pooler_hidden_size: size(65_536).nullish(),
  attention_head_size: size(65_536).nullish(),
  pad_token_id: z.int().min(0).nullish(),
})

/** How distances contribute to the scores. */
type Distances = {
  /** empty: they do not */
  readonly kinds: readonly DistanceKind[]
  /** rows of the table of distances; 0: no table */
  readonly rows: number
  /** the row of each distance from −longestInput to longestInput */
  readonly rowByDistance: readonly number[]
  /** whether distances share the maps of keys and queries; else they have their own */
  readonly sharedMaps: boolean
  readonly normed: boolean
}

/** Sizes are counts; dropouts are probabilities in [0, 1). */
export type DebertaConfig = {
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly intermediateSize: number
  readonly longestInput: number
  /** whether absolute positions are added to the words too */
  readonly absolutePositions: boolean
  /** 0: none */
  readonly tokenTypes: number
  readonly layerNormEpsilon: number
  readonly activation: 'gelu' | 'gelu_tanh'
  readonly paddingIndex: number
  /** number of parts by which a score is scaled: its content, and each kind in the file even if distances do not contribute */
  readonly scoreParts: number
  readonly distances: Distances
  readonly dropouts: { readonly hidden: number; readonly attention: number; readonly pooler: number; readonly head: number }
}

/** @param where the file's name in messages @throws InputError if a key is missing or out of bounds, or sizes contradict each other */
export const debertaConfig = (json: object, where: string): DebertaConfig => {
  const file = validate(schema, json, where, 'an encoder')
  const { hidden_size: hiddenSize, num_attention_heads: heads, max_position_embeddings: longestInput } = file
  if (hiddenSize % heads !== 0) throw inputError(where, `num_attention_heads that divides hidden_size ${hiddenSize}`, String(heads))
  const only = { embedding_size: hiddenSize, pooler_hidden_size: hiddenSize, attention_head_size: hiddenSize / heads }
  for (const key of ['embedding_size', 'pooler_hidden_size', 'attention_head_size'] as const)
    if (file[key] != null && file[key] !== only[key]) throw inputError(where, `no ${key} but ${only[key]}`, String(file[key]))
  const kinds = [...new Set(file.pos_att_type ?? [])]
  const farthest = file.max_relative_positions < 1 ? longestInput : file.max_relative_positions
  const buckets = file.position_buckets < 1 ? null : file.position_buckets
  if (buckets !== null && (buckets < 2 || farthest - 1 <= Math.floor(buckets / 2)))
    throw inputError(where, `position_buckets of at least 2, with fewer than ${farthest - 1} in each direction`, `${buckets}`)
  return {
    vocabularySize: file.vocab_size,
    hiddenSize,
    layers: file.num_hidden_layers,
    heads,
    intermediateSize: file.intermediate_size,
    longestInput,
    absolutePositions: file.position_biased_input,
    tokenTypes: file.type_vocab_size,
    layerNormEpsilon: file.layer_norm_eps,
    activation: file.hidden_act === 'gelu' ? 'gelu' : 'gelu_tanh',
    paddingIndex: Math.min(file.pad_token_id ?? 0, file.vocab_size - 1),
    scoreParts: 1 + kinds.length,
    distances: {
      kinds: file.relative_attention ? kinds : [],
      rows: file.relative_attention ? 2 * (buckets ?? farthest) : 0,
      rowByDistance: distanceRows(longestInput, buckets, farthest),
      sharedMaps: file.share_att_key,
      normed: file.relative_attention && file.norm_rel_ebd === 'layer_norm',
    },
    dropouts: {
      hidden: file.hidden_dropout_prob,
      attention: file.attention_probs_dropout_prob,
      pooler: file.pooler_dropout,
      head: file.cls_dropout ?? file.hidden_dropout_prob,
    },
  }
}
