/** The orthogonality term in a graph: equation (9). Factors of one shape are stacked, so a model's many small products become a few. */
import type { Expression } from '../../graph/expression.js'
import { concat, constant, gather, matMul, reduceSum, reshape, square, sub } from '../../graph/operators.js'

/** D² of each matrix, [n, r, r]; without norms the identity, [r, r]. */
const squares = (norms: ReadonlyArray<ReadonlyArray<number>> | null, r: number, { dtype }: Expression): Expression => {
  const diagonals = (norms ?? [new Array<number>(r).fill(1)]).map((ofMatrix) =>
    ofMatrix.flatMap((norm, i) => Array.from({ length: r }, (_, j) => (i === j ? norm : 0))),
  )
  return constant(diagonals.flat(), [...(norms === null ? [] : [norms.length]), r, r], dtype)
}

export type Norms = {
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
  factors: ReadonlyArray<Expression>,
  { columns, squaredNorms = null }: { readonly columns: boolean; readonly squaredNorms?: ReadonlyArray<ReadonlyArray<number>> | null },
): Norms => {
  const alike = new Map<string, number[]>()
  factors.forEach(({ shape }, i) => alike.set(String(shape), [...(alike.get(String(shape)) ?? []), i]))
  const groups = [...alike.values()]
  const norms = concat(
    groups.map((places) => {
      const members = places.flatMap((i) => factors[i] ?? [])
      const [rows = 1, width = 1] = members[0]?.shape ?? []
      const stack = reshape(concat(members, 0), [members.length, rows, width])
      const gram = matMul(stack, stack, columns ? { transposeA: true } : { transposeB: true })
      const target = squares(squaredNorms === null ? null : places.map((i) => squaredNorms[i] ?? []), gram.shape[1] as number, gram)
      return reduceSum(square(sub(gram, target)), [1, 2])
    }),
    0,
  )
  const order = groups.flat()
  const places = factors.map((_, i) => order.indexOf(i))
  return { norms, inOrder: gather(norms, constant(places, [places.length], 'int64')) }
}
