/** Masked-language modelling: the objective that trains every weight of a base model, in the same graphs that later train adapters. */
import type { BatchInputs, RowSelection } from '../models/batchInputs.js'
import { batchInputs, rowSelection } from '../models/batchInputs.js'
import type { EncoderConfig } from '../models/encoderConfig.js'
import { baseTensorShapes } from '../models/encoderConfig.js'
import { encoder } from '../models/encoder.js'
import { input, mul } from '../graph/operators.js'
import { maskedLanguageModelHead } from '../models/heads.js'
import { noDropout } from '../models/layers/dropout.js'
import { crossEntropySum } from '../models/layers/loss.js'
import type { Trainable } from '../training/parameterVector.js'
import type { Objective, Scalar } from '../training/trainingStep.js'

/** All tensors of the base model and of the language-model head; the decoder is the word embeddings. */
export const pretrainedTensors = (config: EncoderConfig): ReadonlyArray<Trainable> => {
  const { hiddenSize: h } = config
  const shapes: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
    ...baseTensorShapes(config),
    ['lm_head.dense.weight', [h, h]],
    ['lm_head.dense.bias', [h]],
    ['lm_head.layer_norm.weight', [h]],
    ['lm_head.layer_norm.bias', [h]],
    ['lm_head.bias', [config.vocabularySize]],
  ]
  return shapes.map(([name, shape]) => ({ name, shape, group: shape.length > 1 ? 'decayed' : 'undecayed' }))
}

/** Mean cross-entropy of the masked tokens: `labels` int32 [masked], `lossWeight` = 1 / masked. */
export const maskedLanguageModelObjective =
  (config: EncoderConfig, dtype: Scalar): Objective =>
  (parameter) => {
    const batch: BatchInputs = batchInputs(dtype)
    const masked: RowSelection = rowSelection('masked')
    const hidden = encoder(config, parameter, batch, new Map(), noDropout.dropout)
    const logits = maskedLanguageModelHead(config, parameter, hidden, masked)
    const loss = mul(crossEntropySum(logits, input('labels', ['masked'], 'int32')), input('lossWeight', [], dtype))
    return { loss, report: {} }
  }
