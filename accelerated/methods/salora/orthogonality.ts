/** The orthogonality term as an expression: equation (9). */
import type { Expression } from '../../graph/expression.js'
import { add, constant, matMul, reduceSum, square, sub } from '../../graph/operators.js'

/** diag of these numbers, [r, r] */
const diagonal = (numbers: ReadonlyArray<number>, like: Expression): Expression => {
  const r = numbers.length
  const entries = Array.from({ length: r * r }, (_, i) => (i % (r + 1) === 0 ? (numbers[Math.floor(i / r)] ?? 0) : 0))
  return constant(entries, [r, r], like.dtype)
}

/** ‖AAᵀ − I‖²_F, zero where A's rows are orthonormal. A: [r, k] → scalar. */
export const orthogonalityOfA = (A: Expression): Expression => {
  const gram = matMul(A, A, { transposeB: true })
  return reduceSum(square(sub(gram, diagonal(new Array<number>(A.shape[0] as number).fill(1), A))))
}

/** ‖BᵀB − I‖²_F, or with squared norms D² for B's columns, [r], ‖BᵀB − D²‖²_F. B: [d, r] → scalar. */
export const orthogonalityOfB = (B: Expression, squaredNorms?: ReadonlyArray<number>): Expression => {
  const gram = matMul(B, B, { transposeA: true })
  return reduceSum(square(sub(gram, diagonal(squaredNorms ?? new Array<number>(B.shape[1] as number).fill(1), B))))
}

/** Eq. (9): R(B, A) = ‖BᵀB − I‖²_F + ‖AAᵀ − I‖²_F → scalar. */
export const orthogonality = (A: Expression, B: Expression, squaredNorms?: ReadonlyArray<number>): Expression =>
  add(orthogonalityOfB(B, squaredNorms), orthogonalityOfA(A))
