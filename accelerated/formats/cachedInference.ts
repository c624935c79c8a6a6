/** A decoder with the inputs and outputs of other tools: token ids, attention mask, positions and key-value cache in, logits and the longer cache out. */
import type { Outputs, Expression, Shape } from '../graph/expression.js'
import { cast, input, mul, reshape, sub } from '../graph/operators.js'
import { quantizedMatMul, matchQuantized } from '../graph/quantizedOperators.js'
import { cache, type Cached, cacheShape, paddedRows, parts } from '../generation/graph.js'
import { int8 } from '../precisions/int8/int8.js'
import { plainHost, type Host, type TensorSource } from '../models/host.js'
import type { Adapter } from './adapter.js'

/** @huggingface/transformers needs this name of the dimension; it takes unknown ones for 0. */
const batch = 'batch_size'
const tokens: Shape = [batch, 'sequence']

/** exp(−1e9) is 0: padding gets no attention. */
const paddingBias = -1e9

/** The names of layer n's keys or values, as in transformers' own exports. */
export const cacheNames = (layer: number, part: (typeof parts)[number]) => ({
  past: `past_key_values.${layer}.${part}`,
  present: `present.${layer}.${part}`,
})

/**
 * Inputs, with padding on the left, so that all texts end together:
 *  - int64 `input_ids` and `position_ids` [batch, sequence]
 *  - int64 `attention_mask` [batch, past + sequence]: 1 for tokens, 0 for padding
 *  - float32 `past_key_values.N.key` and `.value` [batch, keyValueHeads, past, headSize]
 *
 * Outputs: float32 `logits` [batch, sequence, vocabulary] of the token after each token, and `present.N.key` and `.value`.
 * `tensor` gives the model and the output matrix: merged where the method can be, else beside the method's own tensors.
 */
export const cachedInference = ({ model, method, phase, settings }: Adapter, tensor: TensorSource): Outputs => {
  const head = model.causalHead?.()
  if (head === undefined) throw new Error(`cachedInference: expected a decoder, got ${model.type}`)
  const { layers } = model.spec
  const past = (name: string): Cached => {
    const n = layers.findIndex((layer) => layer.name === name)
    const layer = layers[n]
    if (layer === undefined) throw new Error(`cachedInference: expected one of ${layers.length} layers, got ${name}`)
    const makePastInput = (part: (typeof parts)[number]): Expression => input(cacheNames(n, part).past, cacheShape(layer, batch), 'float32')
    return { key: makePastInput('key'), value: makePastInput('value') }
  }
  const { wrap, present } = cache(past)
  const plain = int8.wrap(plainHost(tensor, (name) => model.spec.tensors.has(name)))
  const host: Host = wrap(method.export.merge === undefined ? method.train.wrap(phase, settings, tensor)(plain) : plain)
  const mask = input('attention_mask', [batch, 'past+sequence'], 'int64')
  const rows = {
    ids: input('input_ids', tokens, 'int64'),
    positions: input('position_ids', tokens, 'int64'),
    keyBias: mul(sub(1, cast(mask, 'float32')), paddingBias),
  }
  const hidden = model.hidden(host, paddedRows(rows)) // [batch*sequence, hidden]
  const words = matchQuantized(host.tensor(head.words))
  const quantized = words === null ? null : quantizedMatMul(hidden, words)
  const logits = quantized === null ? head.outputs(hidden, host) : (head.toLogits?.(quantized) ?? quantized)
  return {
    logits: reshape(logits, [...tokens, model.vocabularySize]),
    ...Object.fromEntries(
      layers.flatMap(({ name }, n) =>
        parts.flatMap((part) => {
          const cached = present.get(name)
          return cached === undefined ? [] : [[cacheNames(n, part).present, cached[part]]]
        }),
      ),
    ),
  }
}
