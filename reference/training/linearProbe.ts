/** The linear probe in float64: multinomial logistic regression with a penalty, by Newton's method. Its minimum is unique. */
import { softCrossEntropy } from '../layers/losses.js'
import { softmax } from '../layers/softmax.js'
import { matMul } from '../tensor/matMul.js'
import { add, addRow, filled, generate, matrixShape, scaleBy, squaredNorm, subtract, tensor, type Tensor } from '../tensor/tensor.js'

export type LinearProbe = { readonly W: Tensor; readonly b: Tensor }

/** X Wᵀ + b. X: [n, d], W: [k, d], b: [k] → [n, k] */
export const probeLogits = (X: Tensor, { W, b }: LinearProbe): Tensor => addRow(matMul(X, W, { transposeY: true }), b)

/** One-hot targets. labels: n of the k classes → [n, k] */
export const toOneHot = (labels: readonly number[], k: number): Tensor =>
  generate([labels.length, k], (i) => (labels[Math.floor(i / k)] === i % k ? 1 : 0))

/** C Σᵢ CE(W xᵢ + b, pᵢ) + ‖W‖² / 2. P: [n, k], a probability for each class */
export const probeObjective = (X: Tensor, P: Tensor, C: number, probe: LinearProbe): number =>
  C * P.shape[0]! * softCrossEntropy(probeLogits(X, probe), P, 1) + squaredNorm(probe.W) / 2

/** The minimum of probeObjective. X: [n, d], P: [n, k] with Σₖ P = 1 → W: [k, d], b: [k] with Σ b = 0 */
export const fitLinearProbe = (X: Tensor, P: Tensor, C: number): LinearProbe => {
  const [[n, d], [, k]] = [matrixShape('fitLinearProbe', X), matrixShape('fitLinearProbe', P)]
  const width = d + 1
  const extended = generate([n, width], (i) => (i % width === d ? 1 : X.data[Math.floor(i / width) * d + (i % width)]!)) // a last column of ones is b's
  let theta = filled([k, width], 0)
  for (let step = 0; step < newtonSteps; step++) {
    const p = softmax(matMul(extended, theta, { transposeY: true }))
    const errors = subtract(p, P)
    const penalized = generate([k, width], (i) => (i % width === d ? 0 : theta.data[i]!))
    const gradient = add(scaleBy(C)(matMul(errors, extended, { transposeX: true })), penalized)
    if (squaredNorm(gradient) < 1e-24) break
    const delta = solve(hessian(extended, p, C), gradient)
    theta = subtract(theta, tensor([k, width], delta))
  }
  return {
    W: generate([k, d], (i) => theta.data[Math.floor(i / d) * width + (i % d)]!),
    b: generate([k], (c) => theta.data[c * width + d]!),
  }
}

const newtonSteps = 50

/** ∂²/∂θ(c,i)∂θ(e,j) = C Σₙ p_c (δ_ce − p_e) xᵢ xⱼ, and 1 for each penalized number. A common shift of b changes nothing: a tiny penalty fixes it. */
const hessian = (X: Tensor, p: Tensor, C: number): number[][] => {
  const [n, width] = matrixShape('hessian', X)
  const k = p.shape[1]!
  const H = Array.from({ length: k * width }, () => new Array<number>(k * width).fill(0))
  for (let row = 0; row < n; row++)
    for (let c = 0; c < k; c++)
      for (let e = 0; e < k; e++) {
        const curvature = C * p.data[row * k + c]! * ((c === e ? 1 : 0) - p.data[row * k + e]!)
        for (let i = 0; i < width; i++)
          for (let j = 0; j < width; j++)
            H[c * width + i]![e * width + j]! += curvature * X.data[row * width + i]! * X.data[row * width + j]!
      }
  H.forEach((line, i) => (line[i]! += i % width === width - 1 ? 1e-10 : 1))
  return H
}

/** H⁻¹ g by Gaussian elimination with pivots. */
const solve = (H: readonly (readonly number[])[], g: Tensor): number[] => {
  const rows = H.map((line, i) => [...line, g.data[i]!])
  rows.forEach((_, column) => {
    const pivot = rows.reduce((best, row, i) => (i >= column && Math.abs(row[column]!) > Math.abs(rows[best]![column]!) ? i : best), column)
    ;[rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!]
    const lead = rows[column]!
    for (const row of rows.slice(column + 1)) {
      const factor = row[column]! / lead[column]!
      for (let j = column; j < row.length; j++) row[j]! -= factor * lead[j]!
    }
  })
  const x = new Array<number>(rows.length).fill(0)
  for (let i = rows.length - 1; i >= 0; i--) {
    const known = rows[i]!.slice(i + 1, rows.length).reduce((total, h, j) => total + h * x[i + 1 + j]!, 0)
    x[i] = (rows[i]!.at(-1)! - known) / rows[i]![i]!
  }
  return x
}
