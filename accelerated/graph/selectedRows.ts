/** Rows of a result, computed from the same rows of what it is made of: a head that reads one token of each text wants no layer of the others. */
import type { Expression, Op } from './expression.js'
import { topologicalOrder } from './expression.js'
import { selectRows } from './operators.js'

/** Which rows: index int32 [selected], and the way back, int32 [rows], as selectRows takes them. */
export type Rows = { readonly index: Expression; readonly inverse: Expression }

/** Operators whose row i follows from row i of their operands alone, and which operands those are; what has other rows serves all of them alike. */
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
  ReduceMean: 'first', // of [rows, n] to [rows, 1]: what has other rows, or one dimension, is not asked for
  LayerNormalization: 'first',
  MatMul: 'first',
  QuantizedMatMul: 'first',
  HalfMatMul: 'first',
  Checkpoint: 'first',
}

/**
 * The rows of x, a matrix. The selection moves down through operators that work row by row and stands where rows meet (attention), where they
 * are read, or at what is computed for all rows in any case. The same numbers as selecting from x, at the cost of the rows that are wanted.
 * x: [rows, n] → [selected, n]
 */
export const selectedRows = (x: Expression, { index, inverse }: Rows): Expression => {
  const [rows] = inverse.shape
  const hasRows = ({ shape }: Expression): boolean => shape.length === 2 && shape[0] === rows && typeof shape[1] === 'number'
  /** The operands of whose rows alone the node's rows are made; none where it mixes rows. */
  const moving = (node: Expression): ReadonlyArray<Expression> => {
    const which = node.attributes.transposeA === true || !hasRows(node) ? undefined : ofTheirRow[node.op]
    if (which === undefined) return []
    return (which === 'all' ? node.inputs : node.inputs.slice(0, 1)).filter(hasRows)
  }
  const whole = new Set(topologicalOrder(reached(x, moving).filter((node) => moving(node).length === 0)))
  const selected = new Map<Expression, Expression>()
  const select = (node: Expression): Expression => {
    const known = selected.get(node)
    if (known !== undefined) return known
    const operands = moving(node)
    const found = whole.has(node)
      ? selectRows(node, index, inverse, { partial: true })
      : {
          ...node,
          inputs: node.inputs.map((operand) => (operands.includes(operand) ? select(operand) : operand)),
          shape: [...index.shape, ...node.shape.slice(1)],
        }
    selected.set(node, found)
    return found
  }
  return select(x)
}

/** A node and all that it leads to. */
const reached = (from: Expression, next: (node: Expression) => ReadonlyArray<Expression>): ReadonlyArray<Expression> => {
  const found = new Set([from])
  for (const node of found) for (const other of next(node)) found.add(other)
  return [...found]
}
