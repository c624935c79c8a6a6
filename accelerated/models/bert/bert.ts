/** BERT (Devlin et al., 2019), RoBERTa (Liu et al., 2019), XLM-RoBERTa and ELECTRA: one encoder with two heads, two position schemes and two special-token templates. */
import type { Expression } from '../../graph/expression.js'
import { add, cast, cumulativeSum, equal, mul, sub, gather, gelu } from '../../graph/operators.js'
import type { Architecture, SpecialTokenTemplate, Model, Naming } from '../architecture.js'
import { slotPositions, type BatchInputs, type PaddedInputs } from '../batchInputs.js'
import { isIdBuffer, bertNames, encoderNaming, type EncoderNames, firstPosition, buildSpec, projection, wordTable } from './spec.js'
import { encoderConfig, type EncoderConfig, size } from './config.js'
import { maskedHead, sequenceHead, tokenHead } from './heads.js'
import type { Host } from '../host.js'
import { attention, paddingBias } from '../layers/attention.js'
import { geluTanh } from '../layers/gelu.js'
import { layerNorm, normedSublayer } from '../layers/layerNorm.js'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { denseHead } from '../layers/classifierHead.js'

/** The model of these sizes. @param distances a bias of every layer's scores by the distance of two tokens (default: none) */
export const encoderModel = (config: EncoderConfig, names: EncoderNames = bertNames, distances?: DistanceBias): Model => ({
  type: config.family,
  spec: buildSpec(config, names),
  vocabularySize: config.vocabularySize,
  paddingIndex: config.paddingIndex,
  firstPosition: firstPosition(config),
  tokenTypes: config.family === 'bert',
  specialTokens: { ...framings[config.family], types: Math.max(1, config.tokenTypes) },
  naming: namings[config.family],
  ignored: isIdBuffer,
  hidden: (host, batch) => encoder(config, names, host, batch, distances),
  pooling: 'first',
  sequenceHead: sequenceHead(config),
  tokenHead: tokenHead(config.hiddenSize, config.headDropout),
  maskedHead: () => maskedHead(config),
  paddedPositions: (ids) => paddedPositions(config, ids),
  withDropout: (p) => encoderModel({ ...config, hiddenDropout: p, attentionDropout: p, headDropout: p }, names, distances),
})

export const bertArchitecture: Architecture = {
  modelTypes: ['roberta', 'bert'],
  open: (json, where) => encoderModel(encoderConfig(json, where)),
  gguf: null,
}

const framings: Readonly<Record<EncoderConfig['family'], Omit<SpecialTokenTemplate, 'types'>>> = {
  roberta: { between: 2, secondType: 0, form: '<s> A </s></s> B </s>' },
  bert: { between: 1, secondType: 1, form: '[CLS] A [SEP] B [SEP]' },
}

const heads = /^(classifier|lm_head)\./
const namings: Readonly<Record<EncoderConfig['family'], Naming>> = {
  roberta: encoderNaming('roberta', 'Roberta', heads),
  bert: encoderNaming('bert', 'Bert', heads),
}

/**
 * BERT counts slots from 0. RoBERTa counts real tokens from paddingIndex + 1 and gives padding the position paddingIndex.
 * (transformers: create_position_ids_from_input_ids)
 */
const paddedPositions = ({ family, paddingIndex }: EncoderConfig, ids: Expression): Expression => {
  if (family === 'bert') return slotPositions(ids)
  const real = sub(1, cast(equal(ids, paddingIndex), 'int64'))
  return add(mul(cumulativeSum(real, 1), real), paddingIndex)
}

// A BERT encoder as an expression: embeddings, then post-LayerNorm layers. Every tensor comes from the host, so it knows no method.
/** [batch, heads, sequence, sequence] */
type DistanceBias = (host: Pick<Host, 'tensor'>, batch: BatchInputs | PaddedInputs) => Expression

/** Hidden states of a batch: → [tokens, hidden], example after example, with padding if the batch keeps it */
const encoder = (
  config: EncoderConfig,
  names: EncoderNames,
  host: Host,
  batch: BatchInputs | PaddedInputs,
  distances?: DistanceBias,
): Expression => {
  const padding = paddingBias(batch)
  const bias = distances === undefined ? padding : add(distances(host, batch), padding)
  const layers = Array.from({ length: config.layers }, (_, i) =>
    host.layer(names.layer(i), encoderLayer(config, names, host, batch, bias, names.layer(i))),
  )
  return layers.reduce((x, layer) => layer(x), embeddings(config, host, batch))
}

const embeddings = (config: EncoderConfig, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
  const words = host.embedded(host.wordRows(wordTable, batch.inputIds), batch)
  const typed =
    config.tokenTypes === 0 ? words : add(words, gather(host.tensor('embeddings.token_type_embeddings.weight'), batch.tokenTypes))
  const positions = gather(host.tensor('embeddings.position_embeddings.weight'), batch.positions)
  const normed = host.dropout(
    'embeddings',
    layerNorm(host, 'embeddings.LayerNorm', config.layerNormEpsilon)(add(typed, positions)),
    config.hiddenDropout,
  )
  return config.embeddingSize === config.hiddenSize ? normed : host.linear(projection, normed)
}

/** x ← norm(x + dropout(attention(x))); x ← norm(x + dropout(feedForward(x))) */
const encoderLayer =
  (config: EncoderConfig, names: EncoderNames, host: Host, batch: BatchInputs | PaddedInputs, bias: Expression, layer: string) =>
  (x: Expression): Expression => {
    const { query, key, value, ...at } = names.within(layer)
    const shape = { bias, heads: config.heads, headSize: config.hiddenSize / config.heads, layer, dropout: config.attentionDropout }
    const context = attention(shape, host, batch, host.linear(query, x), host.linear(key, x), host.linear(value, x))
    const after = { dropout: config.hiddenDropout, epsilon: config.layerNormEpsilon }
    const attended = normedSublayer(host, { name: at.attention, matrix: at.attentionOutput, norm: at.attentionNorm }, after, context, x)
    const activation = config.activation === 'gelu' ? gelu : geluTanh
    const intermediate = activation(host.linear(at.up, attended)) // [tokens, intermediate]
    return normedSublayer(host, { name: at.feedForward, matrix: at.down, norm: at.feedForwardNorm }, after, intermediate, attended)
  }

/** XLM-RoBERTa (Conneau et al., 2020): RoBERTa's encoder and head with a vocabulary of a hundred languages and a unigram tokenizer. */
const xlmRobertaSchema = z.object({ model_type: z.literal('xlm-roberta') })

const xlmRobertaModel = (config: EncoderConfig): Model => ({
  ...encoderModel(config),
  type: 'xlm-roberta',
  naming: encoderNaming('roberta', 'XLMRoberta', heads),
  withDropout: (p) => xlmRobertaModel({ ...config, hiddenDropout: p, attentionDropout: p, headDropout: p }),
})

export const xlmRobertaArchitecture: Architecture = {
  modelTypes: ['xlm-roberta'],
  open: (json, where) => {
    validate(xlmRobertaSchema, json, where, 'an encoder')
    return xlmRobertaModel(encoderConfig({ ...json, model_type: 'roberta' }, where))
  },
  gguf: null,
}

/** ELECTRA (Clark et al., 2020): BERT's encoder with embeddings of their own width, and RoBERTa's head with a GELU. */
const electraSchema = z.object({ model_type: z.literal('electra'), hidden_size: size(65_536), embedding_size: size(65_536).optional() })

const parseElectra = (json: object, where: string): EncoderConfig => {
  const { embedding_size: embeddingSize, hidden_size: hiddenSize } = validate(electraSchema, json, where, 'an encoder')
  return { ...encoderConfig({ ...json, model_type: 'bert' }, where), embeddingSize: embeddingSize ?? hiddenSize }
}

const electraModel = (config: EncoderConfig): Model => {
  const { hiddenSize: h, headDropout } = config
  const { maskedHead: _, ...encoder } = encoderModel(config)
  return {
    ...encoder,
    type: 'electra',
    naming: encoderNaming('electra', 'Electra'),
    sequenceHead: denseHead(h, ['classifier.dense', 'classifier.out_proj'], 'gelu', { input: headDropout, hidden: headDropout }),
    withDropout: (p) => electraModel({ ...config, hiddenDropout: p, attentionDropout: p, headDropout: p }),
  }
}

export const electraArchitecture: Architecture = {
  modelTypes: ['electra'],
  open: (json, where) => electraModel(parseElectra(json, where)),
  gguf: null,
}
