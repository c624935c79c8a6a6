/** The orthogonality term as an expression: equation (9). */
import type { Expression } from '../../graph/expression.js'
import { constant, matMul, reduceSum, square, sub } from '../../graph/operators.js'

/** diag of these numbers, [r, r] */
const diagonal = (numbers: ReadonlyArray<number>, like: Expression): Expression => {
  const r = numbers.length
  const entries = Array.from({ length: r * r }, (_, i) => (i % (r + 1) === 0 ? (numbers[Math.floor(i / r)] ?? 0) : 0))
  return constant(entries, [r, r], like.dtype)
}

/**
 * Eq. (9): R(B, A) = ‖BᵀB − I‖²_F + ‖AAᵀ − I‖²_F, as its two norms. A: [r, k], B: [d, r] → scalars. With squared norms D² for B's columns,
 * [r], `ofB` is ‖BᵀB − D²‖²_F.
 */
export const orthogonality = (
  A: Expression,
  B: Expression,
  squaredNorms?: ReadonlyArray<number>,
): { readonly ofA: Expression; readonly ofB: Expression } => {
  const ones = new Array<number>(A.shape[0] as number).fill(1)
  const gramA = matMul(A, A, { transposeB: true })
  const gramB = matMul(B, B, { transposeA: true })
  return {
    ofA: reduceSum(square(sub(gramA, diagonal(ones, A)))),
    ofB: reduceSum(square(sub(gramB, diagonal(squaredNorms ?? ones, B)))),
  }
}
