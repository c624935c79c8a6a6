/** Multi-head self-attention. Of a packed batch, padding exists between `pack` and `unpack` alone. */
import type { Expression } from '../../graph/expression.js'
import { add, flattenRows, matMul, reshape, selectRows, softmax, transpose } from '../../graph/operators.js'
import type { BatchInputs, PaddedInputs } from '../batchInputs.js'
import type { Host } from '../host.js'

type Heads = { readonly heads: number; readonly headSize: number }

export type AttentionSettings = Heads & {
  /** the layer's name, for what the host adds to its keys and values */
  readonly layer: string
  /** of the probabilities */
  readonly dropout: number
}

/** [tokens, hidden] → [batch, heads, sequence, headSize] */
const pack = ({ heads, headSize }: Heads, batch: BatchInputs | PaddedInputs, x: Expression): Expression => {
  const padded =
    'tokenOfSlot' in batch
      ? selectRows(x, batch.tokenOfSlot, batch.slotOfToken)
      : reshape(x, [...batch.attentionBias.shape, heads * headSize]) // [batch, sequence, hidden]
  return transpose(reshape(padded, [...padded.shape.slice(0, 2), heads, headSize]), [0, 2, 1, 3])
}

/** [batch, heads, sequence, headSize] → [tokens, hidden] */
const unpack = ({ heads, headSize }: Heads, batch: BatchInputs | PaddedInputs, x: Expression): Expression => {
  const slots = transpose(x, [0, 2, 1, 3]) // [batch, sequence, heads, headSize]
  const rows = flattenRows(reshape(slots, [...slots.shape.slice(0, 2), heads * headSize])) // [batch*sequence, hidden]
  return 'tokenOfSlot' in batch ? selectRows(rows, batch.slotOfToken, batch.tokenOfSlotOrNone, { partial: true }) : rows
}

/** softmax(QKᵀ / √headSize + bias) V, head by head. query, key, value: [tokens, hidden] → [tokens, hidden] */
export const attention = (
  { layer, dropout, ...shape }: AttentionSettings,
  host: Pick<Host, 'keyValue' | 'dropout'>,
  batch: BatchInputs | PaddedInputs,
  ...projected: readonly [query: Expression, key: Expression, value: Expression]
): Expression => {
  const [query, ownKey, ownValue] = projected.map((x) => pack(shape, batch, x)) as [Expression, Expression, Expression]
  const [rows, columns] = batch.attentionBias.shape
  const own = { key: ownKey, value: ownValue, bias: reshape(batch.attentionBias, [rows ?? 1, 1, 1, columns ?? 1]) }
  const { key, value, bias } = host.keyValue(layer, own)
  const scores = matMul(query, key, { transposeB: true, alpha: 1 / Math.sqrt(shape.headSize) }) // [batch, heads, sequence, keys]
  const probabilities = host.dropout(`${layer}.attention.probabilities`, softmax(add(scores, bias)), dropout)
  return unpack(shape, batch, matMul(probabilities, value))
}
