/** A soft cap (Bello et al., 2017), by which Gemma bounds its scores and logits. */
import type { Expression } from '../../graph/expression.js'
import { add, mul, tanh } from '../../graph/operators.js'

/** cap · tanh(x / cap); x, where there is no cap */
export const softCapped = (x: Expression, cap: number | null): Expression => (cap === null ? x : mul(tanh(scaled(x, 1 / cap)), cap))

/** x · factor, as a sum in float64: ONNX Runtime takes a factor of a product into the product, as a float32. */
export const scaled = (x: Expression, factor: number): Expression => (x.dtype === 'float64' ? add(x, mul(x, factor - 1)) : mul(x, factor))
