/** The orthogonality term as an expression: equation (9). Factors of one shape are stacked, so that a model's many small products are a few. */
import type { Expression } from '../../graph/expression.js'
import { concat, constant, gather, matMul, reduceSum, reshape, square, sub } from '../../graph/operators.js'

/** D², [r, r], of each matrix: [n, r, r]; or what is the same for all: [r, r] */
const squares = (norms: ReadonlyArray<ReadonlyArray<number>> | null, r: number, { dtype }: Expression): Expression => {
  const diagonals = (norms ?? [new Array<number>(r).fill(1)]).map((own) =>
    own.flatMap((norm, i) => Array.from({ length: r }, (_, j) => (i === j ? norm : 0))),
  )
  return constant(diagonals.flat(), [...(norms === null ? [] : [norms.length]), r, r], dtype)
}

export type Norms = {
  /** in an order that suits their making: the sum's. [K] */
  readonly norms: Expression
  /** in the order of the factors. [K] */
  readonly inOrder: Expression
}

/**
 * Half of eq. (9): ‖AAᵀ − I‖²_F of every A, [r, k], or with `columns` ‖BᵀB − D²‖²_F of every B, [d, r], where D² are the squared norms wanted of its
 * columns, [r], and I where none are given.
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
      const own = places.flatMap((i) => factors[i] ?? [])
      const [rows = 1, width = 1] = own[0]?.shape ?? []
      const stack = reshape(concat(own, 0), [own.length, rows, width])
      const gram = matMul(stack, stack, columns ? { transposeA: true } : { transposeB: true })
      const wanted = squares(squaredNorms === null ? null : places.map((i) => squaredNorms[i] ?? []), gram.shape[1] as number, gram)
      return reduceSum(square(sub(gram, wanted)), [1, 2])
    }),
    0,
  )
  const order = groups.flat()
  const places = factors.map((_, i) => order.indexOf(i))
  return { norms, inOrder: gather(norms, constant(places, [places.length], 'int64')) }
}
