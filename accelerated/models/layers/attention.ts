/** Multi-head self-attention. A packed batch has padding only between `pack` and `unpack`. Long texts are attended block by block. */
import { constantFactor, symbolicFactors, product } from '../../graph/dimension.js'
import { type Expression, type Op, topologicalOrder } from '../../graph/expression.js'
import {
  add,
  cast,
  cumulativeSum,
  flattenRows,
  less,
  matMul,
  mul,
  reshape,
  selectRows,
  elementCount,
  softmax,
  sub,
  transpose,
  input,
  reduceSum,
  scan,
} from '../../graph/operators.js'
import { type BatchInputs, isInBlocks, type PaddedInputs, blockedSequence, blockRows, queryBlocks } from '../batchInputs.js'
import type { Host } from '../host.js'
import { softCapped } from './gelu.js'
import { gradient } from '../../graph/gradient.js'

type Heads = { readonly heads: number; readonly headSize: number }

type AttentionSettings = Heads & {
  /** number of key and value heads, a divisor of `heads`: query heads share them evenly (default: `heads`) */
  readonly keyValueHeads?: number
  /** bias of the scores: [batch, 1 or heads, 1 or sequence, sequence] */
  readonly bias: Expression
  /** the layer's name, for the host */
  readonly layer: string
  /** dropout of the probabilities */
  readonly dropout: number
  /** scale of the scores (default: 1 / √headSize) */
  readonly scale?: number
  /** the soft cap of the scores before their bias; null: none (default) */
  readonly cap?: number | null
  /** Further scores, from queries and keys: [batch, heads, sequence, headSize] → [batch, heads, sequence, keys] each. */
  readonly beside?: (queries: Expression, keys: Expression) => readonly Expression[]
}

/** [tokens, hidden] → [batch, heads, sequence, headSize] */
const pack = ({ heads, headSize }: Heads, batch: BatchInputs | PaddedInputs, x: Expression): Expression =>
  transpose(reshape(toSlots(batch, x), [...batch.attentionBias.shape, heads, headSize]), [0, 2, 1, 3])

/** [tokens, hidden] → [batch, sequence, hidden], or [batch, blocks, rows, hidden] */
const toSlots = (batch: BatchInputs | PaddedInputs, x: Expression): Expression =>
  'tokenOfSlot' in batch ? selectRows(x, batch.tokenOfSlot, batch.slotOfToken) : reshape(x, [...batch.attentionBias.shape, x.shape[1] ?? 1])

/** [tokens, hidden] → [blocks, batch, heads, rows, headSize] */
const packBlocks = ({ heads, headSize }: Heads, batch: BatchInputs, x: Expression): Expression =>
  transpose(reshape(toSlots(batch, x), [...batch.tokenOfSlot.shape, heads, headSize]), [1, 0, 3, 2, 4])

/** [batch, heads, sequence, headSize] → [tokens, hidden] */
const unpack = ({ heads, headSize }: Heads, batch: BatchInputs | PaddedInputs, x: Expression): Expression => {
  const slots = x.shape.length === 5 ? transpose(x, [1, 0, 3, 2, 4]) : transpose(x, [0, 2, 1, 3]) // [batch, sequence, heads, headSize], or with blocks
  const rows = flattenRows(reshape(slots, [...slots.shape.slice(0, -2), heads * headSize])) // [batch*sequence, hidden]
  return 'tokenOfSlot' in batch ? selectRows(rows, batch.slotOfToken, batch.tokenOfSlotOrNone, { partial: true }) : rows
}

/** softmax(cap(QKᵀ / √headSize) + bias) V, head by head. query, key, value: [tokens, hidden] → [tokens, hidden] */
export const attention = (
  { layer, dropout, keyValueHeads, bias: ownBias, scale: ownScale, cap = null, beside, ...shape }: AttentionSettings,
  host: Pick<Host, 'keyValue' | 'attention' | 'dropout'>,
  batch: BatchInputs | PaddedInputs,
  ...[q, k, v]: readonly [query: Expression, key: Expression, value: Expression]
): Expression => {
  const scale = ownScale ?? 1 / Math.sqrt(shape.headSize)
  const shared = { ...shape, heads: keyValueHeads ?? shape.heads }
  const dropped = (probabilities: Expression): Expression => host.dropout(`${layer}.attention.probabilities`, probabilities, dropout)
  const attendWith =
    (drop: (probabilities: Expression) => Expression): Attend =>
    ({ query, key, value, bias }) => {
      const contents = softCapped(matMul(byHead(query, shared.heads), key, { transposeB: true, alpha: scale }), cap)
      const scores = (beside?.(query, key) ?? []).reduce((sum, more) => add(sum, more), byHead(contents, shape.heads)) // [batch, heads, sequence, keys]
      const probabilities = drop(softmax(add(scores, bias)))
      return byHead(matMul(byHead(probabilities, shared.heads), value), shape.heads)
    }
  return host.attention(layer, { query: q, key: k, value: v, bias: ownBias, scale, cap }, () => {
    const { key, value, bias } = host.keyValue(layer, { key: pack(shared, batch, k), value: pack(shared, batch, v), bias: ownBias })
    // A mask of dropout, or scores by distance, are as large as all scores: blocks would save nothing.
    if (isInBlocks(batch) && dropout === 0 && beside === undefined && followsFromBatch(bias))
      return unpack(
        shape,
        batch,
        attendInBlocks(
          { query: packBlocks(shape, batch, q), key, value, bias },
          attendWith((x) => x),
        ),
      )
    return unpack(shape, batch, attendWith(dropped)({ query: pack(shape, batch, q), key, value, bias }))
  })
}

/** Queries that share a key head as rows of one matrix, and back, by a reshape. x: [batch, h, rows, n] → [batch, heads, rows · h / heads, n] */
const byHead = (x: Expression, heads: number): Expression => {
  const [batch = 1, ownHeads = 1, rows = 1, n = 1] = x.shape
  if (ownHeads === heads) return x
  const size = constantFactor([ownHeads, rows]) / heads
  return reshape(x, [batch, heads, product([size, ...symbolicFactors([rows])]), n])
}

/** Every token attends to every token except padding: [batch, 1, 1, sequence] */
export const paddingBias = ({ attentionBias }: Pick<BatchInputs, 'attentionBias'>): Expression => {
  const [rows = 1, columns = 1] = attentionBias.shape
  return reshape(attentionBias, [rows, 1, 1, columns])
}

type Biases = Pick<PaddedInputs, 'attentionBias' | 'keyBias'>

/** Its exponential is 0 in float32 and float64. */
const unseen = -1e9

/** A token attends to tokens at most `window` positions away, itself included: [batch, 1, sequence, sequence] */
export const windowBias = (batch: Pick<BatchInputs, 'attentionBias'>, window: number): Expression => {
  const { query, key } = countPositions(batch)
  const before = cast(less(key, sub(query, window)), query.dtype)
  const after = cast(less(add(query, window), key), query.dtype)
  return add(mul(add(before, after), unseen), paddingBias(batch))
}

/**
 * The positions of queries and keys in their row, counted from 1. Cached keys come before the batch's own.
 * → [batch, 1, sequence, 1] and [batch, 1, 1, past+sequence]
 */
export const countPositions = ({
  attentionBias: queries,
  keyBias: keys = queries,
}: Biases): { readonly query: Expression; readonly key: Expression } => {
  const [[rows = 1, columns = 1], [, all = 1]] = [queries.shape, keys.shape]
  const counted = (x: Expression): Expression => cumulativeSum(add(mul(x, 0), 1), 1)
  const query = reshape(counted(queries), [rows, 1, columns, 1])
  const past = cast(sub(elementCount([all]), elementCount([columns])), queries.dtype)
  return { query: keys === queries ? query : add(query, reshape(past, [1, 1, 1, 1])), key: reshape(counted(keys), [rows, 1, 1, all]) }
}

/** A token attends to itself and the tokens before it, or to the last `window` of these: [batch, 1, sequence, past+sequence] */
export const causalBias = (batch: Biases, window: number | null): Expression => {
  const { query, key } = countPositions(batch)
  const later = cast(less(query, key), query.dtype)
  const hidden = window === null ? later : add(later, cast(less(key, sub(query, window - 1)), query.dtype))
  return add(mul(hidden, unseen), paddingBias({ attentionBias: batch.keyBias ?? batch.attentionBias }))
}

/**
 * Attention by blocks of queries, for long texts: the scores of all queries and keys are never held at once. The backward pass computes the scores of
 * a block again (Chen et al., 2016; Dao et al., 2022, for tiles of fast memory). A block has all its keys, so its softmax is the plain one.
 */
type BlockOperands = {
  /** [blocks, batch, heads, rows, headSize] */
  readonly query: Expression
  /** [batch, keyValueHeads, keys, headSize] each */
  readonly key: Expression
  readonly value: Expression
  /** [batch, 1 or heads, 1 or sequence, keys], a function of the batch alone */
  readonly bias: Expression
}

/** Attention of some queries. query: [batch, heads, rows, headSize], bias: [batch, 1 or heads, 1 or rows, keys] → [batch, heads, rows, headSize] */
type Attend = (operands: BlockOperands) => Expression

/** Whether no part of a bias is trained or read from a file. A block then computes its own rows of it, without a gradient. */
const followsFromBatch = (bias: Expression): boolean =>
  topologicalOrder([bias]).every(({ op, attributes: { name = '' } }) => op !== 'Weight' && (op !== 'Input' || ofBatch.has(name)))

const ofBatch = new Set(['attentionBias', 'tokenOfSlot'])

/** Attention block by block. → [blocks, batch, heads, rows, headSize] */
const attendInBlocks = ({ query, key, value, bias }: BlockOperands, attend: Attend): Expression => {
  const standIn = (x: Expression, shape = x.shape): Expression => input('', shape, x.dtype)
  const inside = { query: standIn(query, query.shape.slice(1)), key: standIn(key), value: standIn(value) }
  const rows = rowsInBlock(bias)
  const result = attend({ ...inside, bias: rows.value })
  const body = { slices: [inside.query, ...rows.slices.values()], shared: [inside.key, inside.value, ...rows.shared.values()] }
  const yBar = standIn(result)
  const [ofQuery, ofKey, ofValue] = gradient(reduceSum(mul(result, yBar)), [inside.query, inside.key, inside.value]) as [
    Expression,
    Expression,
    Expression,
  ]
  const [attended] = scan(
    [query, ...rows.slices.keys()],
    [key, value, ...rows.shared.keys()],
    { ...body, results: [result], sums: [] },
    { ...body, slices: [...body.slices, yBar], results: [ofQuery], sums: [ofKey, ofValue] },
  )
  return attended
}

/** Operators that compute each row of a bias from the same row of their operands. */
const byRow = new Set<Op>(['Add', 'Sub', 'Mul', 'Div', 'Neg', 'Less', 'Equal', 'Min', 'Max', 'Cast', 'Expand'])

type Rows = {
  readonly value: Expression
  /** inputs of the block's graph, by the values whose slices or wholes they are */
  readonly slices: ReadonlyMap<Expression, Expression>
  readonly shared: ReadonlyMap<Expression, Expression>
}

/** A block's rows of a bias, computed in the block. A mask of all queries and keys would be as large as the scores of a head. */
const rowsInBlock = (bias: Expression): Rows => {
  const [slices, shared, made] = [new Map<Expression, Expression>(), new Map<Expression, Expression>(), new Map<Expression, Expression>()]
  const hasRows = ({ shape }: Expression): boolean => shape.at(-2) === blockedSequence
  const standIn = (x: Expression): Expression => {
    if (!hasRows(x)) {
      const whole = input('', x.shape, x.dtype)
      shared.set(x, whole)
      return whole
    }
    const slice = input('', x.shape.with(-2, blockRows), x.dtype)
    slices.set(inBlocks(x), slice)
    return slice
  }
  const toBlockRows = (x: Expression): Expression => {
    const known = made.get(x)
    if (known !== undefined) return known
    const isByRow = hasRows(x) && (byRow.has(x.op) || (x.op === 'Concat' && x.attributes.axis === x.shape.length - 1))
    const rows = isByRow ? { ...x, inputs: x.inputs.map(toBlockRows), shape: x.shape.with(-2, blockRows) } : standIn(x)
    made.set(x, rows)
    return rows
  }
  return { value: toBlockRows(bias), slices, shared }
}

/** [batch, n, sequence, columns] → [blocks, batch, n, rows, columns] */
const inBlocks = (x: Expression): Expression => {
  const [batch = 1, n = 1, , columns = 1] = x.shape
  return transpose(reshape(x, [batch, n, queryBlocks, blockRows, columns]), [2, 0, 1, 3, 4])
}
