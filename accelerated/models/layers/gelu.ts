/** The tanh approximation of GELU (Hendrycks & Gimpel, 2016); the exact GELU is an operator. */
import type { Expression } from '../../graph/expression.js'
import { add, mul, square, tanh } from '../../graph/operators.js'

/** ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))) */
export const geluTanh = (x: Expression): Expression =>
  mul(mul(x, 0.5), add(tanh(mul(mul(x, add(mul(square(x), 0.044715), 1)), Math.sqrt(2 / Math.PI))), 1))
