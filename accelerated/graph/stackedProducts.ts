/**
 * Stacked products: products of one x with several matrices in blocks become one product with these matrices below each other, cut into parts again.
 * The matrices of a product have the same bits.
 * Generation multiplies single rows, so a product takes a few microseconds; starting it, and the threads that share it, costs as much. Only
 * rounding may differ, where a matrix does not fill the runtime's tiles.
 */
import { type Expression, type Outputs, rewrite, topologicalOrder } from './expression.js'
import { concat, split } from './operators.js'
import { bitsPerLevel, blockMatMul } from './quantizedOperators.js'

export const stackProducts = (outputs: Outputs): Outputs => {
  const groups = new Map<Expression, Expression[]>()
  for (const node of topologicalOrder(Object.values(outputs))) {
    const [x] = node.inputs
    if (node.op === 'BlockMatMul' && x !== undefined) groups.set(x, [...(groups.get(x) ?? []), node])
  }
  if (![...groups.values()].some(({ length }) => length > 1)) return outputs
  const parts = new Map<Expression, Expression>()
  return rewrite(outputs, (node, same, renewed) => {
    const part = parts.get(node)
    if (part !== undefined) return part
    const [x] = node.inputs
    const all = node.op === 'BlockMatMul' && x !== undefined ? (groups.get(x) ?? []) : []
    const group = all.filter((other) => findBits(other) === findBits(node))
    if (x === undefined || group.length < 2) return same
    stacked(renewed(x), group).forEach((one, i) => parts.set(group[i] ?? node, one))
    return parts.get(node) ?? same
  })
}

const findBits = ({ inputs: [, levels] }: Expression): number | null => (levels === undefined ? null : bitsPerLevel(levels))

const stacked = (x: Expression, products: readonly Expression[]): readonly Expression[] => {
  const part = (at: 1 | 2): Expression =>
    concat(
      products.flatMap(({ inputs }) => inputs[at] ?? []),
      0,
    )
  return split(
    blockMatMul(x, part(1), part(2)),
    products.map(({ shape }) => Number(shape[1])),
    1,
  )
}
