/** Linear layers: y = x Wᵀ + bias, where there is a bias. */
import { matMul } from '../matMul.js'
import { addRow, columnSums, type Tensor } from '../tensor.js'

/** x: [n, in], weight: [out, in], bias: [out] → [n, out] */
export const linear = (x: Tensor, weight: Tensor, bias?: Tensor): Tensor => {
  const product = matMul(x, weight, { transposeY: true })
  return bias === undefined ? product : addRow(product, bias)
}

/** x̄ = ȳ W. weight: [out, in], yBar: [n, out] → [n, in] */
export const linearInputVjp = (weight: Tensor, yBar: Tensor): Tensor => matMul(yBar, weight)

/** W̄ = ȳᵀx. x: [n, in], yBar: [n, out] → [out, in] */
export const linearWeightVjp = (x: Tensor, yBar: Tensor): Tensor => matMul(yBar, x, { transposeX: true })

/** The bias's gradient, Σ ȳ over the rows. yBar: [n, out] → [out] */
export const linearBiasVjp = columnSums
