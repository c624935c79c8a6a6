/**
 * Stacks of factors: those of one shape become one tensor, so that the many small steps of a model's matrices become a few. On stacks are computed
 * the gated rows of A and the orthogonality term, equation (9).
 */
import type { Expression } from '../../graph/expression.js'
import { concat, constant, mul, reshape, selectRows, slice, gather, matMul, reduceSum, square, sub } from '../../graph/operators.js'

/** Factors of one shape. */
type Stack = {
  /** their numbers */
  readonly places: readonly number[]
  /** [n, rows, width] */
  readonly stack: Expression
}

export const stackFactors = (factors: readonly Expression[]): readonly Stack[] => {
  const alike = new Map<string, number[]>()
  factors.forEach(({ shape }, i) => alike.set(String(shape), [...(alike.get(String(shape)) ?? []), i]))
  return [...alike.values()].map((places) => {
    const members = places.flatMap((i) => factors[i] ?? [])
    const [rows = 1, width = 1] = members[0]?.shape ?? []
    return { places, stack: reshape(concat(members, 0), [members.length, rows, width]) }
  })
}

/**
 * diag(gᵢ) Aᵢ of every A, [rᵢ, k]. B (g ⊙ A x) of equation (5) is B ((diag(g) A) x). The gates then meet r · k numbers, not tokens · r.
 * @param gates of all matrices in their order, [Σ rᵢ]
 */
export const gatedRows = (factors: readonly Expression[], gates: Expression): readonly Expression[] => {
  const stacks = stackFactors(factors)
  const ranks = factors.map(({ shape }) => Number(shape[0]))
  const listRows = (i: number): readonly number[] => {
    const first = ranks.slice(0, i).reduce((a, b) => a + b, 0)
    return Array.from({ length: ranks[i] ?? 0 }, (_, row) => first + row)
  }
  const ordered = inOrder(
    gates,
    stacks.flatMap(({ places }) => places.flatMap(listRows)),
  )
  const gated = new Map<number, Expression>()
  let start = 0
  for (const { places, stack } of stacks) {
    const [n = 1, r = 1, width = 1] = stack.shape.map(Number)
    const rows = reshape(mul(stack, reshape(slice(ordered, 0, start, n * r), [n, r, 1])), [n * r, width])
    places.forEach((place, i) => gated.set(place, slice(rows, 0, i * r, r)))
    start += n * r
  }
  return factors.map((A, i) => gated.get(i) ?? A)
}

/** The gates at these places, in which each gate occurs once. → [G, 1] */
const inOrder = (gates: Expression, places: readonly number[]): Expression => {
  const column = reshape(gates, [places.length, 1])
  if (places.every((place, i) => place === i)) return column
  const inverse = places.map((_, i) => places.indexOf(i))
  const numbers = (values: readonly number[]): Expression => constant(values, [values.length], 'int32')
  return selectRows(column, numbers(places), numbers(inverse))
}

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
