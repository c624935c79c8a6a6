/** Floating-point operations of a graph's matrix products, those of its blocks included: a multiplication and an addition for each term. */
import { sizeOfDimension } from '../../accelerated/graph/dimension.js'
import type { Expression, Op } from '../../accelerated/graph/expression.js'
import { topologicalOrder } from '../../accelerated/graph/expression.js'

const products: ReadonlySet<Op> = new Set<Op>(['MatMul', 'QuantizedMatMul', 'FourBitMatMul', 'HalfMatMul'])

/** Σ 2 · m · n · p over the products that `roots` need, each once. @param sizes of the named dimensions, such as `tokens` */
export const productCount = (roots: ReadonlyArray<Expression>, sizes: Readonly<Record<string, number>>): number =>
  topologicalOrder(roots).reduce((count, { op, inputs: [a], attributes, shape }) => {
    const { body } = attributes
    if (body !== undefined) {
      const blocks = sizeOfDimension(a?.shape[0] ?? 1, sizes, 'productCount')
      return count + blocks * productCount([...body.results, ...body.sums], sizes)
    }
    if (!products.has(op) || a === undefined) return count
    const inner = a.shape.at(attributes.transposeA === true ? -2 : -1) ?? 1
    return count + 2 * [...shape, inner].reduce<number>((product, d) => product * sizeOfDimension(d, sizes, 'productCount'), 1)
  }, 0)
