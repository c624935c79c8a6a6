/** A checkpoint's config.json: what of it this library reads, within bounds that no real encoder exceeds. */
import { z } from 'zod'
import { fileError } from './fileError.js'
import { parseJson } from './jsonText.js'
import { firstProblem, shown } from './schemaProblem.js'

const size = (limit: number) => z.int().min(1).max(limit)
const probability = z.number().min(0).lt(1)
const tokenId = (usual: number) =>
  z
    .int()
    .min(0)
    .nullish()
    .transform((id) => id ?? usual)

/** Bytes of a config.json; a million names of classes would need more, and no encoder has them. */
export const configLimit = 16_000_000

/** The keys read; all others are ignored. Defaults are those of the original configuration classes. */
const encoderFields = {
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
  num_labels: size(1_000_000).optional(),
  id2label: z.record(z.string(), z.string().max(1_000)).optional(),
  problem_type: z.enum(['single_label_classification', 'multi_label_classification', 'regression']).nullish(),
  _name_or_path: z.string().max(10_000).optional(),
}

const schema = z.discriminatedUnion('model_type', [
  z.object({ model_type: z.literal('roberta'), ...encoderFields, pad_token_id: tokenId(1) }),
  z.object({ model_type: z.literal('bert'), ...encoderFields, pad_token_id: tokenId(0) }),
])

/** A valid config.json of a RoBERTa or BERT checkpoint, defaults filled in. */
export type ConfigFile = z.infer<typeof schema>

/**
 * Parses the text of a config.json. `where` is the file's name in messages.
 * Throws FileError: not JSON, another model_type, a key missing or out of bounds, sizes that contradict each other.
 */
export const parseConfigFile = (text: string, where: string): ConfigFile => {
  const json = parseJson(text, where)
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw fileError(where, 'a JSON object', shown(json))
  const found = 'model_type' in json ? json.model_type : undefined
  if (found !== 'roberta' && found !== 'bert') {
    throw fileError(where, 'model_type "roberta" or "bert" (the supported families)', shown(found))
  }
  const parsed = schema.safeParse(json)
  if (!parsed.success) {
    const { path, message, found } = firstProblem(parsed.error, json)
    throw fileError(where, `a valid ${path} (${message})`, found)
  }
  return consistent(parsed.data, where)
}

const consistent = (config: ConfigFile, where: string): ConfigFile => {
  const { hidden_size: hidden, num_attention_heads: heads, num_labels: labels, id2label } = config
  if (hidden % heads !== 0) {
    throw fileError(where, `num_attention_heads that divides hidden_size ${hidden}`, String(heads))
  }
  if (config.pad_token_id >= config.vocab_size) {
    throw fileError(where, `pad_token_id below vocab_size ${config.vocab_size}`, String(config.pad_token_id))
  }
  // RoBERTa's positions start at pad_token_id + 1, so the table must have room after it.
  if (config.model_type === 'roberta' && config.max_position_embeddings <= config.pad_token_id + 1) {
    throw fileError(
      where,
      `max_position_embeddings above pad_token_id + 1 = ${config.pad_token_id + 1}`,
      String(config.max_position_embeddings),
    )
  }
  if (labels !== undefined && id2label !== undefined && Object.keys(id2label).length !== labels) {
    throw fileError(where, `num_labels ${labels} names in id2label`, String(Object.keys(id2label).length))
  }
  return config
}
