/** Softmax over the last axis. */
import { map, multiply, multiplyColumn, rowMaxima, rowSums, subtractColumn, type Tensor } from '../tensor/tensor.js'

/** yᵢ = exp(xᵢ) / Σⱼ exp(xⱼ); the row's maximum is taken off first, so that nothing overflows. x: [n, m] → [n, m] */
export const softmax = (x: Tensor): Tensor => {
  const exponentials = map(Math.exp)(subtractColumn(x, rowMaxima(x)))
  return multiplyColumn(exponentials, map((total) => 1 / total)(rowSums(exponentials)))
}

/** x̄ = y ⊙ (ȳ − Σⱼ ȳⱼyⱼ), from the result y. y, yBar: [n, m] → [n, m] */
export const softmaxVjp = (y: Tensor, yBar: Tensor): Tensor => multiply(y, subtractColumn(yBar, rowSums(multiply(yBar, y))))
