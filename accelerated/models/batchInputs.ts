/** The inputs of a batch: its tokens without padding, and their places in a padded [batch, sequence] for attention. */
import { product } from '../graph/dimension.js'
import type { Expression, FloatType } from '../graph/expression.js'
import { add, cumulativeSum, input, mul, sub } from '../graph/operators.js'

export type BatchInputs = {
  /** int32 [tokens] */
  readonly inputIds: Expression
  /** int32 [tokens] */
  readonly positions: Expression
  /** int32 [tokens] */
  readonly tokenTypes: Expression
  /** int32 [batch, sequence]: the token in each slot; 0 in padding slots. With attention by blocks of queries: [batch, blocks, rows] */
  readonly tokenOfSlot: Expression
  /** int32 [batch*sequence]: the token in each slot; the number of tokens in padding slots */
  readonly tokenOfSlotOrNone: Expression
  /** int32 [tokens]: the slot of each token */
  readonly slotOfToken: Expression
  /** [batch, sequence]: 0 for tokens, −1e9 for padding (its exponential is 0 in float32 and float64) */
  readonly attentionBias: Expression
  /** int32 [tokens]: the index of a virtual token of the method's prompt; for a real token, the number of virtual ones */
  readonly virtualToken: Expression
}

/** A batch with padding: every slot is a token, virtual tokens included. */
export type PaddedInputs = Omit<BatchInputs, 'tokenOfSlot' | 'tokenOfSlotOrNone' | 'slotOfToken'> & {
  /** [batch, past+sequence]: as attentionBias, for the cached keys and the batch's own. Absent: no cache. */
  readonly keyBias?: Expression
}

/** The rows of hidden states that a head reads, and the inverse. */
type RowSelection = {
  /** int32 [rows]: the token of each selected row */
  readonly index: Expression
  /** int32 [tokens]: the selected row of each token; the number of rows if it is not selected */
  readonly inverse: Expression
}

/** Positions counted from 0 along each row, padding included. ids: int64 [batch, sequence] */
export const slotPositions = (ids: Expression): Expression => sub(cumulativeSum(add(mul(ids, 0), 1), 1), 1)

/** @param inBlocks whether attention takes the queries of long texts block by block */
export const batchInputs = (dtype: FloatType, inBlocks = false): BatchInputs => {
  const slots = inBlocks ? ['batch', queryBlocks, blockRows] : ['batch', 'sequence']
  return {
    inputIds: input('inputIds', ['tokens'], 'int32'),
    positions: input('positions', ['tokens'], 'int32'),
    tokenTypes: input('tokenTypes', ['tokens'], 'int32'),
    tokenOfSlot: input('tokenOfSlot', slots, 'int32'),
    tokenOfSlotOrNone: input('tokenOfSlotOrNone', [product(slots)], 'int32'),
    slotOfToken: input('slotOfToken', ['tokens'], 'int32'),
    attentionBias: input('attentionBias', ['batch', product(slots.slice(1))], dtype),
    virtualToken: input('virtualToken', ['tokens'], 'int32'),
  }
}

/** Whether the batch has its slots in blocks. */
export const isInBlocks = (batch: BatchInputs | PaddedInputs): batch is BatchInputs =>
  'tokenOfSlot' in batch && batch.tokenOfSlot.shape.length === 3

/** @param rows the name of the number of selected rows: 'batch' for first tokens, 'masked' for masked ones @param of distinguishes several selections */
export const rowSelection = (rows: string, of = ''): RowSelection => ({
  index: input(`tokenOfRow${of}`, [rows], 'int32'),
  inverse: input(`rowOfToken${of}`, ['tokens'], 'int32'),
})

/** Names of sizes: the blocks of a text's queries, and the queries of a block. */
export const queryBlocks = 'queryBlocks'
export const blockRows = 'blockRows'
/** The size of a padded text. */
export const blockedSequence = product([queryBlocks, blockRows])

/** The most queries of a block. */
export const largestBlock = 128

/** Tokens of a text from which on attention takes its queries block by block. */
export const longText = 1024

/** The fewest blocks, and the fewest rows that then hold all queries: less than one slot of each block is padding. */
export const planBlocks = (
  sequence: number,
  largest = largestBlock,
): Readonly<Record<typeof queryBlocks | typeof blockRows | 'sequence', number>> => {
  const blocks = Math.ceil(sequence / largest)
  const rows = Math.ceil(sequence / blocks)
  return { queryBlocks: blocks, blockRows: rows, sequence: blocks * rows }
}
