/** The tanh approximation of GELU (Hendrycks & Gimpel, 2016); the exact GELU is an operator. */
import type { Expression } from '../../graph/expression.js'
import { add, mul, square, tanh } from '../../graph/operators.js'

/** ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))) */
export const geluTanh = (x: Expression): Expression =>
  mul(mul(x, 0.5), add(tanh(mul(mul(x, add(mul(square(x), 0.044715), 1)), Math.sqrt(2 / Math.PI))), 1))

// A soft cap (Bello et al., 2017), by which Gemma bounds its scores and logits.
/** cap · tanh(x / cap); x, where there is no cap */
export const softCapped = (x: Expression, cap: number | null): Expression => (cap === null ? x : mul(tanh(scaled(x, 1 / cap)), cap))

/** x · factor, as a sum in float64: ONNX Runtime takes a factor of a product into the product, as a float32. */
export const scaled = (x: Expression, factor: number): Expression => (x.dtype === 'float64' ? add(x, mul(x, factor - 1)) : mul(x, factor))
