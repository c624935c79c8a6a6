/** GELU, exact and by tanh: Hendrycks & Gimpel (2016). */
import type { Expression } from '../../graph/expression.js'
import { add, erf, mul, square, tanh } from '../../graph/operators.js'

/** x Φ(x) = ½ x (1 + erf(x / √2)) */
export const gelu = (x: Expression): Expression => mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1))

/** ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))) */
export const geluTanh = (x: Expression): Expression =>
  mul(mul(x, 0.5), add(tanh(mul(mul(x, add(mul(square(x), 0.044715), 1)), Math.sqrt(2 / Math.PI))), 1))
