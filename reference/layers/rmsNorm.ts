/** Root-mean-square normalization (Zhang and Sennrich, 2019) over the last axis. */
import { columnSums, map, multiply, multiplyColumn, multiplyRow, rowMeans, subtract, type Tensor } from '../tensor/tensor.js'

/** x̂ = x / √(mean x² + ε), and 1 / √(mean x² + ε). x: [n, width] */
const normalize = (epsilon: number, x: Tensor): { readonly xHat: Tensor; readonly inverseRoot: Tensor } => {
  const inverseRoot = map((square) => 1 / Math.sqrt(square + epsilon))(rowMeans(multiply(x, x))) // [n]
  return { xHat: multiplyColumn(x, inverseRoot), inverseRoot }
}

/** y = x̂ ⊙ weight. x: [n, width], weight: [width] → [n, width] */
export const rmsNorm =
  (epsilon: number) =>
  (x: Tensor, weight: Tensor): Tensor =>
    multiplyRow(normalize(epsilon, x).xHat, weight)

/** x̄ = (h − x̂ mean(h ⊙ x̂)) / √(mean x² + ε) with h = ȳ ⊙ weight; the weight's gradient is Σ ȳ ⊙ x̂. x, yBar: [n, width] */
export const rmsNormVjp = (epsilon: number) => (x: Tensor, weight: Tensor, yBar: Tensor) => {
  const { xHat, inverseRoot } = normalize(epsilon, x)
  const h = multiplyRow(yBar, weight)
  return {
    x: multiplyColumn(subtract(h, multiplyColumn(xHat, rowMeans(multiply(h, xHat)))), inverseRoot),
    weight: columnSums(multiply(yBar, xHat)),
  }
}
