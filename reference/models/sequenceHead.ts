/** The head that turns an encoder's first token into the outputs of a task. */
import type { EncoderConfig } from './encoderConfig.js'
import { map, multiply, scatterRows, selectRows, type Tensors } from '../tensor/tensor.js'
import { adaptedLinear, type ModelTensors } from '../layers/adaptedLinear.js'
import { dropout, dropoutVjp } from '../layers/dropout.js'
import { plainLayer, sequence, type Layer } from '../layers/layer.js'

/** The hidden state of each example's first token. x: [tokens, hidden] → [batch, hidden] */
const firstTokens = (lengths: readonly number[]): Layer => {
  const starts = lengths.map((_, example) => lengths.slice(0, example).reduce((total, n) => total + n, 0))
  return plainLayer(
    (x) => selectRows(x, starts),
    (x, yBar) => scatterRows(yBar, starts, x.shape[0]!),
  )
}

/** tanh, of slope 1 − tanh². */
const tanh: Layer = plainLayer(map(Math.tanh), (x, yBar) => multiply(yBar, map((value) => 1 - Math.tanh(value) ** 2)(x)))

export const dropoutLayer = (masks: Tensors, site: string): Layer =>
  plainLayer(
    (x) => dropout(masks[site], x),
    (_, yBar) => dropoutVjp(masks[site], yBar),
  )

/**
 * RoBERTa: dropout → classifier.dense → tanh → dropout → classifier.out_proj;
 * BERT: pooler.dense → tanh → dropout → classifier.
 * x: [tokens, hidden] → [batch, labels]
 */
export const sequenceHead = (model: ModelTensors, { family }: EncoderConfig, lengths: readonly number[], masks: Tensors): Layer =>
  family === 'roberta'
    ? sequence(
        firstTokens(lengths),
        dropoutLayer(masks, 'head.input'),
        adaptedLinear(model, 'classifier.dense'),
        tanh,
        dropoutLayer(masks, 'head.hidden'),
        adaptedLinear(model, 'classifier.out_proj'),
      )
    : sequence(
        firstTokens(lengths),
        adaptedLinear(model, 'pooler.dense'),
        tanh,
        dropoutLayer(masks, 'head.input'),
        adaptedLinear(model, 'classifier'),
      )
