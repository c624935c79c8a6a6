/** What a step is told of its batch: the real tokens one after another, and how they lie in a padded [batch, sequence] for attention. */
import type { Expression, FloatType } from '../graph/expression.js'
import { add, cumulativeSum, input, mul, sub } from '../graph/operators.js'

export type BatchInputs = {
  /** int32 [tokens] */
  readonly inputIds: Expression
  /** int32 [tokens] */
  readonly positions: Expression
  /** int32 [tokens] */
  readonly tokenTypes: Expression
  /** int32 [batch, sequence]: the token in each slot; 0 in slots that hold padding */
  readonly tokenOfSlot: Expression
  /** int32 [batch*sequence]: the token in each slot; the number of tokens in slots that hold padding */
  readonly tokenOfSlotOrNone: Expression
  /** int32 [tokens]: the slot of each token */
  readonly slotOfToken: Expression
  /** [batch, sequence]: 0 for tokens, −1e9 for padding (its exponential is 0 in float32 and float64) */
  readonly attentionBias: Expression
  /** int32 [tokens]: which virtual token of a method's prompt stands there, or their number where a real one does */
  readonly virtualToken: Expression
}

/** A batch that keeps its padding: every slot is a token, in place. Virtual tokens are slots too. */
export type PaddedInputs = Omit<BatchInputs, 'tokenOfSlot' | 'tokenOfSlotOrNone' | 'slotOfToken'> & {
  /** [batch, past+sequence]: as attentionBias, of the keys that a cache holds and of the batch's own; absent: there is no cache */
  readonly keyBias?: Expression
}

/** Rows of hidden states that a head reads, and the way back. */
export type RowSelection = {
  /** int32 [rows]: the token of each selected row */
  readonly index: Expression
  /** int32 [tokens]: the selected row of each token, or the number of rows where it was not selected */
  readonly inverse: Expression
}

/** Positions counted from 0 along each row, padding included. ids: int64 [batch, sequence] */
export const slotPositions = (ids: Expression): Expression => sub(cumulativeSum(add(mul(ids, 0), 1), 1), 1)

export const batchInputs = (dtype: FloatType): BatchInputs => ({
  inputIds: input('inputIds', ['tokens'], 'int32'),
  positions: input('positions', ['tokens'], 'int32'),
  tokenTypes: input('tokenTypes', ['tokens'], 'int32'),
  tokenOfSlot: input('tokenOfSlot', ['batch', 'sequence'], 'int32'),
  tokenOfSlotOrNone: input('tokenOfSlotOrNone', ['batch*sequence'], 'int32'),
  slotOfToken: input('slotOfToken', ['tokens'], 'int32'),
  attentionBias: input('attentionBias', ['batch', 'sequence'], dtype),
  virtualToken: input('virtualToken', ['tokens'], 'int32'),
})

/** @param rows the name of the number of selected rows: 'batch' for first tokens, 'masked' for masked ones @param of tells several selections apart */
export const rowSelection = (rows: string, of = ''): RowSelection => ({
  index: input(`tokenOfRow${of}`, [rows], 'int32'),
  inverse: input(`rowOfToken${of}`, ['tokens'], 'int32'),
})
