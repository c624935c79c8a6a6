/** A low-rank increment whose components carry gates: ΔW = scale · B diag(g) A. Equation (5). */
import { matMul } from '../tensor/matMul.js'
import { add, checkShape, columnSums, filled, matrixShape, multiply, multiplyRow, scaleBy, type Tensor } from '../tensor/tensor.js'

/** The factors of one adapted matrix W [d, k]. A: [r, k], B: [d, r] */
export interface Factors {
  readonly A: Tensor
  readonly B: Tensor
}

/** Factors and the locations of their gates. logTheta: [r] */
export interface Adapter extends Factors {
  readonly logTheta: Tensor
}

/** Adapters by the name of the module they adapt, such as `encoder.layer.0.attention.self.query`. */
export type Adapters = Readonly<Record<string, Adapter>>

export interface FactorGradients extends Factors {
  /** [r] */
  readonly g: Tensor
  /** [n, k] */
  readonly x: Tensor
}

/** α / r. A constant of the run: it stays what it was when components are pruned. */
export const adapterScale = ({ alpha, rank }: { readonly alpha: number; readonly rank: number }): number => alpha / rank

/** Every gate open. → [r] */
export const openGates = ({ A }: Factors): Tensor => filled([matrixShape('openGates', A)[0]], 1)

/** ΔW = scale · B diag(g) A = scale · Σⱼ gⱼ Bⱼ Aⱼ, equation (5). g: [r] → [d, k] */
export const increment =
  (scale: number) =>
  ({ A, B }: Factors, g: Tensor): Tensor =>
    scaleBy(scale)(matMul(multiplyRow(B, g), A))

/** scale · B (g ⊙ (A x)) for each row of x: what the adapter adds to W x. x: [n, k], g: [r] → [n, d] */
export const applyIncrement =
  (scale: number) =>
  ({ A, B }: Factors, g: Tensor, x: Tensor): Tensor =>
    scaleBy(scale)(matMul(multiplyRow(matMul(x, A, { transposeY: true }), g), B, { transposeY: true }))

/**
 * Vjp of applyIncrement. With p = A x, q = g ⊙ p and h̄ = scale ȳ:
 * B̄ = h̄ᵀq, q̄ = Bᵀh̄, ḡ = Σ q̄ ⊙ p, p̄ = q̄ ⊙ g, Ā = p̄ᵀx, x̄ = p̄ A. yBar: [n, d]
 */
export const applyIncrementVjp =
  (scale: number) =>
  (factors: Factors, g: Tensor, x: Tensor, yBar: Tensor): FactorGradients => {
    const { A, B } = factors
    const p = matMul(x, A, { transposeY: true }) // [n, r]
    const hBar = scaleBy(scale)(yBar)
    const qBar = matMul(hBar, B) // [n, r]
    const pBar = multiplyRow(qBar, g)
    return {
      A: matMul(pBar, x, { transposeX: true }),
      B: matMul(hBar, multiplyRow(p, g), { transposeX: true }),
      g: columnSums(multiply(qBar, p)),
      x: matMul(pBar, A),
    }
  }

/** W + ΔW: the adapted matrix as one. weight: [d, k], g: [r] → [d, k] */
export const merge =
  (scale: number) =>
  (weight: Tensor, factors: Factors, g: Tensor): Tensor => {
    const [d] = matrixShape('merge', factors.B)
    const [, k] = matrixShape('merge', factors.A)
    return add(checkShape('merge', weight, [d, k]), increment(scale)(factors, g))
  }

/** B diag(g): the factors whose increment with every gate open is that of these factors with gates g. */
export const foldGates = ({ A, B }: Factors, g: Tensor): Factors => ({ A, B: multiplyRow(B, g) })
