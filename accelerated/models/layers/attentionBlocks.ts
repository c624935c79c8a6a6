/**
 * Attention by blocks of queries, for long texts: the scores of all queries and keys are never held at once. The backward pass computes the scores of
 * a block again (Chen et al., 2016; Dao et al., 2022, for tiles of fast memory). A block has all its keys, so its softmax is the plain one.
 */
import type { Expression, Op } from '../../graph/expression.js'
import { topologicalOrder } from '../../graph/expression.js'
import { gradient } from '../../graph/gradient.js'
import { input, mul, reduceSum, reshape, scan, transpose } from '../../graph/operators.js'
import { blockedSequence, blockRows, queryBlocks } from '../queryBlocks.js'

export type BlockOperands = {
  /** [blocks, batch, heads, rows, headSize] */
  readonly query: Expression
  /** [batch, keyValueHeads, keys, headSize] each */
  readonly key: Expression
  readonly value: Expression
  /** [batch, 1 or heads, 1 or sequence, keys], a function of the batch alone */
  readonly bias: Expression
}

/** Attention of some queries. query: [batch, heads, rows, headSize], bias: [batch, 1 or heads, 1 or rows, keys] → [batch, heads, rows, headSize] */
export type Attend = (operands: BlockOperands) => Expression

/** Whether no part of a bias is trained or read from a file. A block then computes its own rows of it, without a gradient. */
export const followsFromBatch = (bias: Expression): boolean =>
  topologicalOrder([bias]).every(({ op, attributes: { name = '' } }) => op !== 'Weight' && (op !== 'Input' || ofBatch.has(name)))

const ofBatch = new Set(['attentionBias', 'tokenOfSlot'])

/** Attention block by block. → [blocks, batch, heads, rows, headSize] */
export const attendInBlocks = ({ query, key, value, bias }: BlockOperands, attend: Attend): Expression => {
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
  const rowsOf = (x: Expression): Expression => {
    const known = made.get(x)
    if (known !== undefined) return known
    const isByRow = hasRows(x) && (byRow.has(x.op) || (x.op === 'Concat' && x.attributes.axis === x.shape.length - 1))
    const rows = isByRow ? { ...x, inputs: x.inputs.map(rowsOf), shape: x.shape.with(-2, blockRows) } : standIn(x)
    made.set(x, rows)
    return rows
  }
  return { value: rowsOf(bias), slices, shared }
}

/** [batch, n, sequence, columns] → [blocks, batch, n, rows, columns] */
const inBlocks = (x: Expression): Expression => {
  const [batch = 1, n = 1, , columns = 1] = x.shape
  return transpose(reshape(x, [batch, n, queryBlocks, blockRows, columns]), [2, 0, 1, 3, 4])
}
