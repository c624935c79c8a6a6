/** Layer normalization (Ba, Kiros and Hinton, 2016) over the last axis. */
import {
  addRow,
  columnSums,
  map,
  multiply,
  multiplyColumn,
  multiplyRow,
  rowMeans,
  subtract,
  subtractColumn,
  type Tensor,
} from '../tensor/tensor.js'

/** x̂ = (x − mean) / √(variance + ε), and 1 / √(variance + ε). x: [n, width] */
const normalize = (epsilon: number, x: Tensor): { readonly xHat: Tensor; readonly inverseDeviation: Tensor } => {
  const centered = subtractColumn(x, rowMeans(x))
  const inverseDeviation = map((variance) => 1 / Math.sqrt(variance + epsilon))(rowMeans(multiply(centered, centered))) // [n]
  return { xHat: multiplyColumn(centered, inverseDeviation), inverseDeviation }
}

/** y = x̂ ⊙ weight + bias. x: [n, width], weight, bias: [width] → [n, width] */
export const layerNorm =
  (epsilon: number) =>
  (x: Tensor, weight: Tensor, bias: Tensor): Tensor =>
    addRow(multiplyRow(normalize(epsilon, x).xHat, weight), bias)

/**
 * x̄ = (h − mean(h) − x̂ mean(h ⊙ x̂)) / √(variance + ε) with h = ȳ ⊙ weight;
 * the weight's gradient is Σ ȳ ⊙ x̂, the bias's Σ ȳ. x, yBar: [n, width]
 */
export const layerNormVjp = (epsilon: number) => (x: Tensor, weight: Tensor, yBar: Tensor) => {
  const { xHat, inverseDeviation } = normalize(epsilon, x)
  const h = multiplyRow(yBar, weight)
  const centered = subtractColumn(h, rowMeans(h))
  const alongXHat = multiplyColumn(xHat, rowMeans(multiply(h, xHat)))
  return {
    x: multiplyColumn(subtract(centered, alongXHat), inverseDeviation),
    weight: columnSums(multiply(yBar, xHat)),
    bias: columnSums(yBar),
  }
}
