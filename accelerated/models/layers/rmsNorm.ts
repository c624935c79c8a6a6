/** Root-mean-square normalization: Zhang & Sennrich (2019). */
import type { Expression } from '../../graph/expression.js'
import { add, div, mul, reduceMean, sqrt, square } from '../../graph/operators.js'

/** x / √(mean x² + ε) ⊙ scale, over the last dimension. x: [..., n], scale: [n] */
export const rmsNorm = (x: Expression, scale: Expression, epsilon: number): Expression =>
  mul(div(x, sqrt(add(reduceMean(square(x), [-1], true), epsilon))), scale)
