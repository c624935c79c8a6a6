/** BERT (Devlin et al., 2019) and RoBERTa (Liu et al., 2019): one encoder with two heads, two position schemes and two special-token templates. */
import type { Expression } from '../../graph/expression.js'
import { add, cast, cumulativeSum, equal, mul, sub } from '../../graph/operators.js'
import type { Architecture, SpecialTokenTemplate, Model, Naming } from '../architecture.js'
import { slotPositions } from '../batchInputs.js'
import { isIdBuffer } from '../buffers.js'
import { encoderConfig, type EncoderConfig } from './config.js'
import { encoder, type DistanceBias } from './encoder.js'
import { maskedHead, sequenceHead, tokenHead } from './heads.js'
import { bertNames, type EncoderNames } from './names.js'
import { firstPosition, specOf } from './spec.js'

/** The model of these sizes. @param distances a bias of every layer's scores by the distance of two tokens (default: none) */
export const encoderModel = (config: EncoderConfig, names: EncoderNames = bertNames, distances?: DistanceBias): Model => ({
  type: config.family,
  spec: specOf(config, names),
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

/** Files store the classifier beside the encoder, and everything else, BERT's pooler included, within it. */
const naming = (family: string, name: string): Naming => ({
  prefix: `${family}.`,
  sequenceClassifier: `${name}ForSequenceClassification`,
  tokenClassifier: `${name}ForTokenClassification`,
  tokenizer: `${name}Tokenizer`,
  stored: (tensor) => (/^(classifier|lm_head)\./.test(tensor) ? tensor : `${family}.${tensor}`),
})
const namings: Readonly<Record<EncoderConfig['family'], Naming>> = { roberta: naming('roberta', 'Roberta'), bert: naming('bert', 'Bert') }

/**
 * BERT counts slots from 0. RoBERTa counts real tokens from paddingIndex + 1 and gives padding the position paddingIndex.
 * (transformers: create_position_ids_from_input_ids)
 */
const paddedPositions = ({ family, paddingIndex }: EncoderConfig, ids: Expression): Expression => {
  if (family === 'bert') return slotPositions(ids)
  const real = sub(1, cast(equal(ids, paddingIndex), 'int64'))
  return add(mul(cumulativeSum(real, 1), real), paddingIndex)
}
