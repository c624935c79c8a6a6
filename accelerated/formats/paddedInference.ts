/** An encoder with the inputs and outputs of other tools: padded token ids and attention mask in, logits out. The graph computes the positions. */
import { product } from '../graph/dimension.js'
import type { Expression, Shape } from '../graph/expression.js'
import {
  add,
  cast,
  concat,
  constant,
  cumulativeSum,
  cut,
  expand,
  gather,
  input,
  minimum,
  mul,
  reshape,
  scalar,
  sub,
  transpose,
} from '../graph/operators.js'
import { int8 } from '../precisions/int8/int8.js'
import type { PaddedInputs } from '../models/batchInputs.js'
import { plainHost, type Host, type TensorSource } from '../models/host.js'
import { tokenHeadOf } from '../models/modelOutputs.js'
import { noVirtualTokens } from '../models/packing.js'
import type { Adapter } from './adapter.js'

const slots: Shape = ['batch', 'sequence']

/** exp(−1e9) is 0: padding gets no attention. */
const paddingBias = -1e9

/**
 * The head reads the first token, or every token. Inputs int64 [batch, sequence]: input_ids, attention_mask (1 for tokens, 0 for padding) and token_type_ids, if the family has them.
 * → { logits: float32 [batch, labels] }, or without virtual tokens [batch, sequence, labels] or { last_hidden_state: [batch, sequence, hidden] }. `tensor` gives model and head: merged if the method can be, else with the method's own tensors.
 */
export const paddedInference = (
  { model, outputs, method, phase, settings }: Adapter,
  tensor: TensorSource,
): Readonly<Record<string, Expression>> => {
  const ids = input('input_ids', slots, 'int64')
  const mask = input('attention_mask', slots, 'int64')
  const zeros = mul(ids, 0)
  const types = model.tokenTypes ? input('token_type_ids', slots, 'int64') : zeros
  const isToken = outputs.head === 'token'
  const head = isToken ? tokenHeadOf(model, outputs.labels) : model.sequenceHead(Math.max(1, outputs.labels))
  const plain = int8.wrap(plainHost(tensor, (name) => model.spec.tensors.has(name) || head.tensors.has(name)))
  const host: Host = method.export.merge === undefined ? method.train.wrap(phase, settings, tensor)(plain) : plain

  const { count, at } = method.train.virtualTokens?.(settings) ?? noVirtualTokens
  const inside = at === 'embeddings' ? count : 0 // virtual tokens that take a slot
  // Each virtual token takes a position, as a word does that is no padding. For virtual tokens among the embeddings, transformers has no ids. It
  // then counts every token that the mask shows, also a padding token within a text.
  const word = model.paddingIndex === 0 ? 1 : 0
  const counted = inside === 0 ? ids : add(mul(mask, word - model.paddingIndex), model.paddingIndex)
  const positions = model.paddedPositions(afterVirtual(count, word, counted))
  const bias = mul(sub(1, cast(mask, 'float32')), paddingBias)
  const ones = add(afterVirtual(inside, 0, zeros), 1)
  const batch: PaddedInputs = {
    inputIds: flat(afterVirtual(inside, 0, ids)),
    positions: flat(inside === count ? positions : (cut(positions, 1, [count, 'sequence'])[1] as Expression)),
    tokenTypes: flat(afterVirtual(inside, 0, types)),
    attentionBias: afterVirtual(inside, 0, bias),
    virtualToken: flat(minimum(sub(cumulativeSum(ones, 1), 1), inside)),
  }
  const hidden = model.hidden(host, batch) // [batch*slots, hidden]
  if (outputs.head !== 'sequence') {
    const [rows = 'batch', width = 'sequence'] = ones.shape
    const ofTokens = isToken ? head.outputs(hidden, host) : hidden
    const all = reshape(ofTokens, [rows, width, ofTokens.shape[1] ?? 1])
    const ofText = inside === 0 ? all : (cut(all, 1, [inside, 'sequence'])[1] as Expression)
    return { [isToken ? 'logits' : 'last_hidden_state']: ofText }
  }
  const places = sub(cumulativeSum(flat(ones), 0), 1) // 0, 1, 2, … over all slots
  const firstOfRow = gather(transpose(reshape(places, ones.shape), [1, 0]), constant([0], [], 'int64')) // [batch]
  return { logits: head.outputs(gather(hidden, firstOfRow), host) }
}

/** The value of each virtual token before a row's own. own: [batch, sequence] → [batch, count+sequence] */
const afterVirtual = (count: number, value: number, own: Expression): Expression =>
  count === 0 ? own : concat([expand(scalar(value, own.dtype), own.shape.with(1, count)), own], 1)

const flat = (x: Expression): Expression => reshape(x, [product(x.shape)])
