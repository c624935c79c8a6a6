/** Linear layers: y = x Wᵀ + bias, with or without a bias. */
import { matMul } from '../tensor/matMul.js'
import { addRow, columnSums, type Tensor } from '../tensor/tensor.js'

/** x: [n, in], weight: [out, in], bias: [out] → [n, out] */
export const linear = (x: Tensor, weight: Tensor, bias?: Tensor): Tensor => {
  const product = matMul(x, weight, { transposeY: true })
  return bias === undefined ? product : addRow(product, bias)
}

/** x̄ = ȳ W. weight: [out, in], yBar: [n, out] → [n, in] */
export const linearInputVjp = (weight: Tensor, yBar: Tensor): Tensor => matMul(yBar, weight)

/** W̄ = ȳᵀx. x: [n, in], yBar: [n, out] → [out, in] */
export const linearWeightVjp = (x: Tensor, yBar: Tensor): Tensor => matMul(yBar, x, { transposeX: true })

/** A linear layer with a frozen matrix: it computes values and input gradients only, and a precision may round them. */
export interface FrozenLinear {
  /** x: [n, in], weight: [out, in], bias: [out] → [n, out] */
  readonly value: (module: string, x: Tensor, weight: Tensor, bias?: Tensor) => Tensor
  /** yBar: [n, out] → [n, in] */
  readonly inputVjp: (module: string, weight: Tensor, yBar: Tensor) => Tensor
}

/** In float64, like all other layers. */
export const exactLinear: FrozenLinear = {
  value: (_, x, weight, bias) => linear(x, weight, bias),
  inputVjp: (_, weight, yBar) => linearInputVjp(weight, yBar),
}

/** The bias's gradient, Σ ȳ over the rows. yBar: [n, out] → [out] */
export const linearBiasVjp = columnSums
