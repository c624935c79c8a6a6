/** The orthogonality regularizer, equation (9): it keeps components independent, so that pruning one hardly changes the others. */
import * as R from 'fp-ts/lib/ReadonlyRecord.js'
import { matMul } from '../../tensor/matMul.js'
import { identity, matrixShape, multiplyRow, scaleBy, squaredNorm, subtract, type Tensor, type Tensors } from '../../tensor/tensor.js'
import type { Factors } from '../../layers/lowRank.js'

/** BᵀB − D²: [r, r]. D² has these squared norms on its diagonal; without them it is I. squaredNorms: [r] */
const gramErrorB = (B: Tensor, squaredNorms?: Tensor): Tensor => {
  const unit = identity(matrixShape('orthogonality', B)[1])
  return subtract(matMul(B, B, { transposeX: true }), squaredNorms === undefined ? unit : multiplyRow(unit, squaredNorms))
}

/** AAᵀ − I: [r, r] */
const gramErrorA = (A: Tensor): Tensor => subtract(matMul(A, A, { transposeY: true }), identity(matrixShape('orthogonality', A)[0]))

/** ‖AAᵀ − I‖²_F. A: [r, k] */
export const orthogonalityOfA = (A: Tensor): number => squaredNorm(gramErrorA(A))

/** ‖BᵀB − D²‖²_F, with D² = I by default. B: [d, r] */
export const orthogonalityOfB = (B: Tensor, squaredNorms?: Tensor): number => squaredNorm(gramErrorB(B, squaredNorms))

/**
 * R(B, A) = ‖BᵀB − I‖²_F + ‖AAᵀ − I‖²_F, zero exactly when B's columns and A's rows are orthonormal, equation (9).
 * With squared norms of B's columns, the first term is ‖BᵀB − D²‖²_F: zero when the columns are orthogonal and have these norms.
 */
export const orthogonality = ({ A, B }: Factors, squaredNorms?: Tensor): number => orthogonalityOfB(B, squaredNorms) + orthogonalityOfA(A)

/** ∂R/∂B = 4 B(BᵀB − D²), ∂R/∂A = 4 (AAᵀ − I)A, each times rBar. B = 0 is a stationary point: only the task moves it. */
export const orthogonalityVjp = ({ A, B }: Factors, rBar: number, squaredNorms?: Tensor): Factors => ({
  A: scaleBy(4 * rBar)(matMul(gramErrorA(A), A)),
  B: scaleBy(4 * rBar)(matMul(B, gramErrorB(B, squaredNorms))),
})

export interface OrthogonalitySettings {
  /** β, weight of the orthogonality term. */
  readonly beta: number
  /** The mean of the squared norms ‖BᵢᵀBᵢ − I‖²_F and ‖AᵢAᵢᵀ − I‖²_F over all K matrices, or their sum, equation (12) to the letter. */
  readonly orthogonality: 'mean' | 'sum'
  /** The regularizer after T_end. unit: unchanged, so it pulls folded columns back to norm 1. folded: at the norms of T_end. off: none. */
  readonly orthogonalityAfter: 'unit' | 'folded' | 'off'
}

export interface OrthogonalityTerm {
  /** R(Bᵢ, Aᵢ) by module, the sum of its two norms. */
  readonly each: Readonly<Record<string, number>>
  /** Σᵢ R(Bᵢ, Aᵢ), without its weight in L. */
  readonly total: number
  /** Its value in L. */
  readonly value: number
  /** Its gradients, by module. */
  readonly gradients: Readonly<Record<string, Factors>>
}

/**
 * β / 2K · Σᵢ R(Bᵢ, Aᵢ), β times the mean of 2K squared norms, over the K matrices that have an adapter now; or β Σᵢ R(Bᵢ, Aᵢ).
 * At β = 0.1 the sum alone decides the columns of B: all come to norm 1, many times what a task gives them. The mean leaves them to it.
 * squaredNorms: of B's columns at T_end, by module; null up to then.
 */
export const orthogonalityTerm =
  ({ beta, orthogonality: average, orthogonalityAfter }: OrthogonalitySettings) =>
  (adapters: Readonly<Record<string, Factors>>, squaredNorms: Tensors | null): OrthogonalityTerm => {
    const gone = squaredNorms !== null && orthogonalityAfter === 'off'
    const norms: Tensors = squaredNorms !== null && orthogonalityAfter === 'folded' ? squaredNorms : {}
    const weight = gone ? 0 : average === 'mean' ? beta / (2 * Math.max(1, Object.keys(adapters).length)) : beta
    const each = R.mapWithIndex((module: string, factors: Factors) => orthogonality(factors, norms[module]))(adapters)
    const total = Object.values(each).reduce((sum, one) => sum + one, 0)
    return {
      each,
      total,
      value: weight * total,
      gradients: R.mapWithIndex((module: string, factors: Factors) => orthogonalityVjp(factors, weight, norms[module]))(adapters),
    }
  }
