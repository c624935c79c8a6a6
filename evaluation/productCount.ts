/** Floating-point operations of a graph's matrix products: a multiplication and an addition for each term. Nothing else is counted. */
import type { Dimension, Expression } from '../accelerated/graph/expression.js'
import { topologicalOrder } from '../accelerated/graph/expression.js'

/** Σ 2 · m · n · p over the MatMul nodes that `roots` need, each once. @param sizes of the named dimensions, such as `tokens` */
export const productCount = (roots: ReadonlyArray<Expression>, sizes: Readonly<Record<string, number>>): number =>
  topologicalOrder(roots).reduce((sum, { op, inputs: [a], attributes, shape }) => {
    if (op !== 'MatMul' || a === undefined) return sum
    const inner = a.shape.at(attributes.transposeA === true ? -2 : -1) ?? 1
    return sum + 2 * [...shape, inner].reduce<number>((product, d) => product * sizeOf(d, sizes), 1)
  }, 0)

/** A dimension is a number, a name, or a product such as `12*batch`. */
const sizeOf = (dimension: Dimension, sizes: Readonly<Record<string, number>>): number => {
  if (typeof dimension === 'number') return dimension
  return dimension.split('*').reduce((product, factor) => {
    const size = /^\d+$/.test(factor) ? Number(factor) : sizes[factor]
    if (size === undefined) throw new Error(`productCount: expected a size for dimension ${factor}, found ${Object.keys(sizes).join(', ')}`)
    return product * size
  }, 1)
}
