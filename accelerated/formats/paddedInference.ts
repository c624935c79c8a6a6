/** Inference as other tools call it: padded token ids and an attention mask in, logits out; positions and token places follow inside the graph. */
import { encoder, type TensorSource } from '../models/encoder.js'
import type { EncoderConfig } from '../models/encoderConfig.js'
import type { Expression, Shape } from '../graph/expression.js'
import { add, cast, constant, cumulativeSum, equal, gather, input, mul, reshape, sub, transpose } from '../graph/operators.js'
import { outputLayers } from '../models/heads.js'
import { noDropout } from '../models/layers/dropout.js'

const slots: Shape = ['batch', 'sequence']
const rows: Shape = ['batch*sequence']

/** exp(−1e9) is 0: padding gets no attention. */
const paddingBias = -1e9

/**
 * Inputs int64 [batch, sequence]: input_ids, attention_mask (1 for tokens, 0 for padding) and, of BERT, token_type_ids.
 * → { logits: float32 [batch, labels] }. `tensor` gives encoder and head, merged.
 */
export const paddedInference = (config: EncoderConfig, tensor: TensorSource): Readonly<Record<string, Expression>> => {
  const ids = input('input_ids', slots, 'int64')
  const mask = input('attention_mask', slots, 'int64')
  const zeros = mul(ids, 0)
  const types = config.family === 'bert' ? input('token_type_ids', slots, 'int64') : zeros
  const hidden = encoder(
    config,
    tensor,
    {
      inputIds: reshape(ids, rows),
      positions: reshape(positionsOf(config, ids, zeros), rows),
      tokenTypes: reshape(types, rows),
      attentionBias: mul(sub(1, cast(mask, 'float32')), paddingBias),
    },
    new Map(),
    noDropout.dropout,
  ) // [batch*sequence, hidden]
  const places = sub(cumulativeSum(add(reshape(zeros, rows), 1), 0), 1) // 0, 1, 2, … over all slots
  const firstOfRow = gather(transpose(reshape(places, slots), [1, 0]), constant([0], [], 'int64')) // [batch]
  return { logits: outputLayers(config, tensor, gather(hidden, firstOfRow), noDropout.dropout) }
}

/**
 * BERT counts slots from 0. RoBERTa counts, from paddingIndex + 1, the tokens that are not the padding token; padding itself stands at
 * paddingIndex. (transformers: create_position_ids_from_input_ids)
 */
const positionsOf = ({ family, paddingIndex }: EncoderConfig, ids: Expression, zeros: Expression): Expression => {
  if (family === 'bert') return sub(cumulativeSum(add(zeros, 1), 1), 1)
  const real = sub(1, cast(equal(ids, paddingIndex), 'int64'))
  return add(mul(cumulativeSum(real, 1), real), paddingIndex)
}
