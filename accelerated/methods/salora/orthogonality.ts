/** The orthogonality term as an expression: equation (9). */
import type { Expression } from '../../graph/expression.js'
import { add, constant, matMul, reduceSum, square, sub } from '../../graph/operators.js'

/** Eq. (9): R(B, A) = ‖BᵀB − I‖²_F + ‖AAᵀ − I‖²_F. A: [r, k], B: [d, r] → scalar */
export const orthogonality = (A: Expression, B: Expression): Expression => {
  const r = A.shape[0] as number
  const identity = constant(
    Array.from({ length: r * r }, (_, i) => (i % (r + 1) === 0 ? 1 : 0)),
    [r, r],
    A.dtype,
  )
  const gramB = matMul(B, B, { transposeA: true })
  const gramA = matMul(A, A, { transposeB: true })
  return add(reduceSum(square(sub(gramB, identity))), reduceSum(square(sub(gramA, identity))))
}
