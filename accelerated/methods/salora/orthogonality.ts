/** The orthogonality term in a graph: equation (9). */
import type { Expression } from '../../graph/expression.js'
import { concat, constant, gather, matMul, reduceSum, square, sub } from '../../graph/operators.js'
import { stackFactors } from './stackedFactors.js'

/** D² of each matrix, [n, r, r]; without norms the identity, [r, r]. */
const squares = (norms: readonly (readonly number[])[] | null, r: number, { dtype }: Expression): Expression => {
  const diagonals = (norms ?? [new Array<number>(r).fill(1)]).map((ofMatrix) =>
    ofMatrix.flatMap((norm, i) => Array.from({ length: r }, (_, j) => (i === j ? norm : 0))),
  )
  return constant(diagonals.flat(), [...(norms === null ? [] : [norms.length]), r, r], dtype)
}

type Norms = {
  /** in the order of computation, for the sum. [K] */
  readonly norms: Expression
  /** in the order of the factors. [K] */
  readonly inOrder: Expression
}

/**
 * Half of equation (9): ‖AAᵀ − I‖²_F of every A, [r, k]; with `columns`, ‖BᵀB − D²‖²_F of every B, [d, r]. D² holds the target squared norms of
 * its columns, [r]; without `squaredNorms` it is I.
 */
export const orthogonality = (
  factors: readonly Expression[],
  { columns, squaredNorms = null }: { readonly columns: boolean; readonly squaredNorms?: readonly (readonly number[])[] | null },
): Norms => {
  const stacks = stackFactors(factors)
  const norms = concat(
    stacks.map(({ places, stack }) => {
      const gram = matMul(stack, stack, columns ? { transposeA: true } : { transposeB: true })
      const target = squares(squaredNorms === null ? null : places.map((i) => squaredNorms[i] ?? []), gram.shape[1] as number, gram)
      return reduceSum(square(sub(gram, target)), [1, 2])
    }),
    0,
  )
  const order = stacks.flatMap(({ places }) => places)
  const places = factors.map((_, i) => order.indexOf(i))
  return { norms, inOrder: gather(norms, constant(places, [places.length], 'int64')) }
}
