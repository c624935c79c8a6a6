/**
 * Stacked products: products of one x with several matrices in blocks become one product with these matrices below each other, cut into parts again.
 * The matrices of a product have the same bits.
 * Generation multiplies single rows, so a product takes a few microseconds; starting it, and the threads that share it, costs as much. Only
 * rounding may differ, where a matrix does not fill the runtime's tiles.
 */
import type { Expression } from './expression.js'
import { topologicalOrder } from './expression.js'
import { concat, split } from './operators.js'
import { bitsOfBlocks, blockMatMul } from './quantizedOperators.js'

type Outputs = Readonly<Record<string, Expression>>

export const stackProducts = (outputs: Outputs): Outputs => {
  const order = topologicalOrder(Object.values(outputs))
  const groups = new Map<Expression, Expression[]>()
  for (const node of order) {
    const [x] = node.inputs
    if (node.op === 'BlockMatMul' && x !== undefined) groups.set(x, [...(groups.get(x) ?? []), node])
  }
  if (![...groups.values()].some(({ length }) => length > 1)) return outputs
  const replaced = new Map<Expression, Expression>()
  const resolved = (node: Expression): Expression => replaced.get(node) ?? node
  for (const node of order) {
    if (replaced.has(node)) continue
    const [x] = node.inputs
    const all = node.op === 'BlockMatMul' && x !== undefined ? (groups.get(x) ?? []) : []
    const group = all.filter((other) => bitsOf(other) === bitsOf(node))
    if (x !== undefined && group.length > 1) {
      const parts = stacked(resolved(x), group)
      group.forEach((one, i) => replaced.set(one, parts[i] ?? one))
    } else {
      const inputs = node.inputs.map(resolved)
      replaced.set(node, inputs.every((input, i) => input === node.inputs[i]) ? node : { ...node, inputs })
    }
  }
  return Object.fromEntries(Object.entries(outputs).map(([name, node]) => [name, resolved(node)]))
}

const bitsOf = ({ inputs: [, levels] }: Expression): number | null => (levels === undefined ? null : bitsOfBlocks(levels))

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
