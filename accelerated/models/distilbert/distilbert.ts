/** DistilBERT (Sanh et al., 2019): BERT's encoder under other names, without token types, and a head of two layers with a ReLU between them. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { inputError } from '../../errors/inputError.js'
import type { Architecture, Model } from '../architecture.js'
import { encoderModel } from '../bert/bert.js'
import { type EncoderConfig, probability, size } from '../bert/config.js'
import { encoderNaming, type EncoderNames } from '../bert/spec.js'
import { tokenHead } from '../bert/heads.js'
import { denseHead } from '../layers/classifierHead.js'

const schema = z.object({
  model_type: z.literal('distilbert'),
  vocab_size: size(10_000_000),
  dim: size(65_536),
  n_layers: size(1_024),
  n_heads: size(1_024),
  hidden_dim: size(1_048_576),
  max_position_embeddings: size(1_048_576),
  activation: z.literal('gelu').default('gelu'),
  dropout: probability.default(0.1),
  attention_dropout: probability.default(0.1),
  seq_classif_dropout: probability.default(0.2),
  pad_token_id: z.int().min(0).nullish(),
})

const names: EncoderNames = {
  layer: (i) => `transformer.layer.${i}`,
  within: (at) => ({
    query: `${at}.attention.q_lin`,
    key: `${at}.attention.k_lin`,
    value: `${at}.attention.v_lin`,
    attentionOutput: `${at}.attention.out_lin`,
    attentionNorm: `${at}.sa_layer_norm`,
    up: `${at}.ffn.lin1`,
    down: `${at}.ffn.lin2`,
    feedForwardNorm: `${at}.output_layer_norm`,
    attention: `${at}.attention`,
    feedForward: `${at}.ffn`,
  }),
}

const parseConfig = (json: object, where: string): EncoderConfig => {
  const file = validate(schema, json, where, 'an encoder')
  if (file.dim % file.n_heads !== 0) throw inputError(where, `n_heads that divides dim ${file.dim}`, String(file.n_heads))
  return {
    family: 'bert',
    vocabularySize: file.vocab_size,
    hiddenSize: file.dim,
    embeddingSize: file.dim,
    layers: file.n_layers,
    heads: file.n_heads,
    intermediateSize: file.hidden_dim,
    maxPositions: file.max_position_embeddings,
    tokenTypes: 0,
    layerNormEpsilon: 1e-12,
    activation: file.activation,
    paddingIndex: Math.min(file.pad_token_id ?? 0, file.vocab_size - 1),
    hiddenDropout: file.dropout,
    attentionDropout: file.attention_dropout,
    headDropout: file.seq_classif_dropout,
  }
}

/** The original has no dropout after the attention's output. */
const withoutAttentionSites = (model: Model): Model => ({
  ...model,
  hidden: (host, batch) =>
    model.hidden({ ...host, dropout: (site, x, p) => (/\.layer\.\d+\.attention$/.test(site) ? x : host.dropout(site, x, p)) }, batch),
})

const buildEncoder = (config: EncoderConfig): Model => {
  const encoder = withoutAttentionSites(encoderModel(config, names))
  return { ...encoder, spec: { ...encoder.spec, supportedHooks: ['sublayer', 'embedded'] } } // transformers gives it no past keys and values
}

const distilbertModel = (config: EncoderConfig): Model => ({
  ...buildEncoder(config),
  type: 'distilbert',
  tokenTypes: false,
  specialTokens: { between: 1, secondType: 0, types: 1, form: '[CLS] A [SEP] B [SEP]' },
  naming: {
    ...encoderNaming('distilbert', 'DistilBert', /^(pre_classifier|classifier)\./),
    adaptersAt: (sublayer) => sublayer.replace(/\.attention$/, '.attention_adapters').replace(/\.ffn$/, '.output_adapters'),
  },
  sequenceHead: denseHead(config.hiddenSize, ['pre_classifier', 'classifier'], 'relu', { hidden: config.headDropout }),
  tokenHead: tokenHead(config.hiddenSize, config.hiddenDropout),
  withDropout: (p) => distilbertModel({ ...config, hiddenDropout: p, attentionDropout: p, headDropout: p }),
})

export const distilbertArchitecture: Architecture = {
  modelTypes: ['distilbert'],
  open: (json, where) => distilbertModel(parseConfig(json, where)),
  gguf: null,
}
