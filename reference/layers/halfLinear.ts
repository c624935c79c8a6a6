/**
 * Linear layers with a matrix in float16. Each row of the other factor is divided by its largest magnitude and rounded to float16, and the product is
 * multiplied by that magnitude. Sums are exact here; devices may round them.
 */
import { matMul } from '../tensor/matMul.js'
import { addRow, generate, map, matrixShape, multiplyColumn, type Tensor } from '../tensor/tensor.js'
import type { FrozenLinear } from './linear.js'
import { roundHalfEven } from './quantizedLinear.js'

/** A number in [2ᵉ, 2ᵉ⁺¹) has eleven bits, so steps of 2ᵉ⁻¹⁰. Below the least exponent, steps are 2⁻²⁴ (IEEE 754, binary16). */
const [fractionBits, leastExponent, largest] = [10, -14, 65504]

/** The nearest float16, half-way to the even one; beyond the largest by half a step or more, infinite. */
export const roundToHalf = (x: number): number => {
  if (x === 0 || !Number.isFinite(x)) return x
  const exponent = Math.max(leastExponent, Math.floor(Math.log2(Math.abs(x))))
  const step = 2 ** (exponent - fractionBits)
  const rounded = roundHalfEven(x / step) * step
  return Math.abs(rounded) > largest ? Math.sign(x) * Infinity : rounded
}

/** max |row|, and 1 for a row of zeros. x: [n, m] → [n] */
const rowMagnitudes = (x: Tensor): Tensor => {
  const [n, m] = matrixShape('rowMagnitudes', x)
  return generate([n], (row) => Math.max(...map(Math.abs)(x).data.subarray(row * m, (row + 1) * m)) || 1)
}

/** diag(s) round(diag(s)⁻¹ x) Wᵀ, where s are the rows' magnitudes and W is rounded too. x: [n, k], W: [p, k] ([k, p] if not transposed) → [n, p] */
const halfProduct = (x: Tensor, W: Tensor, transposeY: boolean): Tensor => {
  const scales = rowMagnitudes(x)
  const rounded = map(roundToHalf)(multiplyColumn(x, map((s) => 1 / s)(scales)))
  return multiplyColumn(matMul(rounded, map(roundToHalf)(W), { transposeY }), scales)
}

/** y = round(x) round(W)ᵀ + bias, and x̄ = round(ȳ) round(W). The gradient ignores the rounding of x, and ȳ is rounded as x was. */
export const halfLinear: FrozenLinear = {
  value: (_, x, weight, bias) => {
    const product = halfProduct(x, weight, true)
    return bias === undefined ? product : addRow(product, bias)
  },
  inputVjp: (_, weight, yBar) => halfProduct(yBar, weight, false),
}
