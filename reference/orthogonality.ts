/** The regulariser that keeps a module's components independent, so that losing one disturbs the others little. Equation (9). */
import type { Factors } from './lowRank.js'
import { identity, matMul, matrixShape, scaleBy, squaredNorm, subtract, type Tensor } from './tensor.js'

/** BᵀB − I: [r, r] */
const gramErrorB = (B: Tensor): Tensor => subtract(matMul(B, B, { transposeX: true }), identity(matrixShape('orthogonality', B)[1]))

/** AAᵀ − I: [r, r] */
const gramErrorA = (A: Tensor): Tensor => subtract(matMul(A, A, { transposeY: true }), identity(matrixShape('orthogonality', A)[0]))

/** R(B, A) = ‖BᵀB − I‖²_F + ‖AAᵀ − I‖²_F, zero exactly when B's columns and A's rows are orthonormal. Eq. (9). */
export const orthogonality = ({ A, B }: Factors): number => squaredNorm(gramErrorB(B)) + squaredNorm(gramErrorA(A))

/** ∂R/∂B = 4 B(BᵀB − I), ∂R/∂A = 4 (AAᵀ − I)A, each times rBar. B = 0 is a stationary point: only the task moves it. */
export const orthogonalityVjp = ({ A, B }: Factors, rBar: number): Factors => ({
  A: scaleBy(4 * rBar)(matMul(gramErrorA(A), A)),
  B: scaleBy(4 * rBar)(matMul(B, gramErrorB(B))),
})
