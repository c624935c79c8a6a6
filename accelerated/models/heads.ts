/** What reads the encoder's hidden states: sequence heads of RoBERTa and BERT, and RoBERTa's masked-language-model head. */
import type { RowSelection } from './batchInputs.js'
import type { EncoderConfig } from './encoderConfig.js'
import type { TensorSource } from './encoder.js'
import type { Expression } from '../graph/expression.js'
import { add, layerNormalization, matMul, selectRows, tanh } from '../graph/operators.js'
import type { Dropout } from './layers/dropout.js'
import { gelu } from './layers/gelu.js'
import { linear } from './layers/linear.js'

const selected = (hidden: Expression, rows: RowSelection): Expression =>
  selectRows(hidden, rows.tokenOfRow, rows.rowOfToken, { partial: true })

const layer = (tensor: TensorSource, name: string, x: Expression): Expression =>
  linear(x, { weight: tensor(`${name}.weight`), bias: tensor(`${name}.bias`) })

/** Logits (or the regression's output) from each example's first token. hidden: [tokens, hidden] → [batch, labels] */
export const sequenceHead = (
  config: EncoderConfig,
  tensor: TensorSource,
  hidden: Expression,
  first: RowSelection,
  dropout: Dropout,
): Expression => outputLayers(config, tensor, selected(hidden, first), dropout)

/** The head's layers alone. x: [batch, hidden], the first tokens' hidden states → [batch, labels] */
export const outputLayers = (config: EncoderConfig, tensor: TensorSource, x: Expression, dropout: Dropout): Expression =>
  config.family === 'roberta'
    ? layer(tensor, 'classifier.out_proj', dropout(tanh(layer(tensor, 'classifier.dense', dropout(x, 'head.input'))), 'head.hidden'))
    : layer(tensor, 'classifier', dropout(tanh(layer(tensor, 'pooler.dense', x)), 'head.input'))

/** Dropout sites of the sequence head. */
export const headDropoutSites = (config: EncoderConfig): ReadonlyArray<string> =>
  config.family === 'roberta' ? ['head.input', 'head.hidden'] : ['head.input']

/** Logits over the vocabulary at the masked tokens; the decoder is tied to the word embeddings. hidden: [tokens, hidden] → [masked, vocabulary] */
export const maskedLanguageModelHead = (
  config: EncoderConfig,
  tensor: TensorSource,
  hidden: Expression,
  masked: RowSelection,
): Expression => {
  const transformed = layerNormalization(
    gelu(layer(tensor, 'lm_head.dense', selected(hidden, masked))),
    tensor('lm_head.layer_norm.weight'),
    tensor('lm_head.layer_norm.bias'),
    config.layerNormEpsilon,
  )
  return add(matMul(transformed, tensor('embeddings.word_embeddings.weight'), { transposeB: true }), tensor('lm_head.bias'))
}
