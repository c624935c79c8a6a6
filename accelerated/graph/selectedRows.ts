/** Selected rows of a result, computed from the same rows of its operands. A head that reads one token per text needs only those of the last layer. */
import type { Expression, Op } from './expression.js'
import { topologicalOrder } from './expression.js'
import { selectRows } from './operators.js'

/** The selection: index int32 [selected], and its inverse int32 [rows], as for selectRows. */
type Rows = { readonly index: Expression; readonly inverse: Expression }

/** Operators whose row i depends only on row i of these operands. An operand with other rows serves all rows. */
const ofTheirRow: Readonly<Partial<Record<Op, 'all' | 'first'>>> = {
  Add: 'all',
  Sub: 'all',
  Mul: 'all',
  Div: 'all',
  Neg: 'all',
  Exp: 'all',
  Sqrt: 'all',
  Sigmoid: 'all',
  Tanh: 'all',
  Erf: 'all',
  Sin: 'all',
  Cos: 'all',
  Gelu: 'all',
  Relu: 'all',
  Clip: 'all',
  ReduceMean: 'first', // [rows, n] → [rows, 1]; `moving` excludes all other shapes
  LayerNormalization: 'first',
  RmsNormalization: 'first',
  MatMul: 'first',
  QuantizedMatMul: 'first',
  FourBitMatMul: 'first',
  HalfMatMul: 'first',
  Checkpoint: 'first',
}

/**
 * The selected rows of a matrix x. The selection moves down through row-wise operators and stops where rows mix (attention), at leaves, and at values
 * that are computed for all rows anyway. The numbers are the same as selecting from x, at the cost of the selected rows.
 * x: [rows, n] → [selected, n]
 */
export const selectedRows = (x: Expression, { index, inverse }: Rows): Expression => {
  const [rows] = inverse.shape
  const hasRows = ({ shape }: Expression): boolean => shape.length === 2 && shape[0] === rows && typeof shape[1] === 'number'
  /** The operands whose rows the node's rows depend on; none if it mixes rows. */
  const moving = (node: Expression): readonly Expression[] => {
    const which = node.attributes.transposeA === true || !hasRows(node) ? undefined : ofTheirRow[node.op]
    if (which === undefined) return []
    return (which === 'all' ? node.inputs : node.inputs.slice(0, 1)).filter(hasRows)
  }
  const whole = new Set(topologicalOrder(reached(x, moving).filter((node) => moving(node).length === 0)))
  const selected = new Map<Expression, Expression>()
  const select = (node: Expression): Expression => {
    const earlier = selected.get(node)
    if (earlier !== undefined) return earlier
    const operands = moving(node)
    const rowsOfNode = whole.has(node)
      ? selectRows(node, index, inverse, { partial: true })
      : {
          ...node,
          inputs: node.inputs.map((operand) => (operands.includes(operand) ? select(operand) : operand)),
          shape: [...index.shape, ...node.shape.slice(1)],
        }
    selected.set(node, rowsOfNode)
    return rowsOfNode
  }
  return select(x)
}

const reached = (from: Expression, next: (node: Expression) => readonly Expression[]): readonly Expression[] => {
  const nodes = new Set([from])
  for (const node of nodes) for (const other of next(node)) nodes.add(other)
  return [...nodes]
}
