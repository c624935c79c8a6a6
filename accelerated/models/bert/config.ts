/** The sizes of a BERT or RoBERTa encoder from its config.json, within bounds that no real encoder exceeds. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { inputError } from '../../errors/inputError.js'

/** The settings of the encoder's graph. Sizes are counts; dropouts are probabilities in [0, 1). */
export type EncoderConfig = {
  /** whose positions, special tokens and heads a family uses unless it has its own */
  readonly family: 'roberta' | 'bert'
  readonly vocabularySize: number
  readonly hiddenSize: number
  /** width of the embeddings; a linear map follows if it differs from the hidden size */
  readonly embeddingSize: number
  readonly layers: number
  readonly heads: number
  readonly intermediateSize: number
  /** Rows of the position table. RoBERTa's first paddingIndex + 1 rows are never used by a real token. */
  readonly maxPositions: number
  /** 0: none */
  readonly tokenTypes: number
  readonly layerNormEpsilon: number
  /** 'gelu' is exact (erf); 'gelu_tanh' is the tanh approximation. */
  readonly activation: 'gelu' | 'gelu_tanh'
  readonly paddingIndex: number
  readonly hiddenDropout: number
  readonly attentionDropout: number
  readonly headDropout: number
}

export const size = (limit: number) => z.int().min(1).max(limit)
export const probability = z.number().min(0).lt(1)

/** The keys read; all others are ignored. Defaults are those of the original configuration classes. */
const schema = z.object({
  model_type: z.enum(['roberta', 'bert']),
  vocab_size: size(10_000_000),
  hidden_size: size(65_536),
  num_hidden_layers: size(1_024),
  num_attention_heads: size(1_024),
  intermediate_size: size(1_048_576),
  max_position_embeddings: size(1_048_576),
  type_vocab_size: size(1_024),
  layer_norm_eps: z.number().gt(0).lt(1).default(1e-12),
  hidden_act: z.enum(['gelu', 'gelu_new', 'gelu_pytorch_tanh']).default('gelu'),
  hidden_dropout_prob: probability.default(0.1),
  attention_probs_dropout_prob: probability.default(0.1),
  classifier_dropout: probability.nullish(),
  position_embedding_type: z.literal('absolute').nullish(),
  pad_token_id: z.int().min(0).nullish(),
})

/** @param where the file's name in messages @throws InputError if a key is missing or out of bounds, or sizes contradict each other */
export const encoderConfig = (json: object, where: string): EncoderConfig => {
  const file = validate(schema, json, where, 'an encoder')
  return consistent(
    {
      family: file.model_type,
      vocabularySize: file.vocab_size,
      hiddenSize: file.hidden_size,
      embeddingSize: file.hidden_size,
      layers: file.num_hidden_layers,
      heads: file.num_attention_heads,
      intermediateSize: file.intermediate_size,
      maxPositions: file.max_position_embeddings,
      tokenTypes: file.type_vocab_size,
      layerNormEpsilon: file.layer_norm_eps,
      activation: file.hidden_act === 'gelu' ? 'gelu' : 'gelu_tanh',
      paddingIndex: file.pad_token_id ?? (file.model_type === 'roberta' ? 1 : 0),
      hiddenDropout: file.hidden_dropout_prob,
      attentionDropout: file.attention_probs_dropout_prob,
      headDropout: file.classifier_dropout ?? file.hidden_dropout_prob,
    },
    where,
  )
}

const consistent = (config: EncoderConfig, where: string): EncoderConfig => {
  const { family, hiddenSize, heads, paddingIndex, vocabularySize, maxPositions } = config
  if (hiddenSize % heads !== 0) throw inputError(where, `num_attention_heads that divides hidden_size ${hiddenSize}`, String(heads))
  if (paddingIndex >= vocabularySize) throw inputError(where, `pad_token_id below vocab_size ${vocabularySize}`, String(paddingIndex))
  // RoBERTa's positions start at pad_token_id + 1, so the table needs rows after it.
  if (family === 'roberta' && maxPositions <= paddingIndex + 1) {
    throw inputError(where, `max_position_embeddings above pad_token_id + 1 = ${paddingIndex + 1}`, String(maxPositions))
  }
  return config
}
