/** IA³ (Liu et al., 2022): a vector l scales the numbers that go into a linear layer, or those that come out of it. */
import { columnSums, multiply, multiplyRow, type Tensor } from '../tensor/tensor.js'
import { sequence, type Layer } from './layer.js'

/** l: [k] of an input, [d] of an output */
export interface ModuleVector {
  readonly l: Tensor
  readonly scales: 'input' | 'output'
}

/** x ⊙ l in each row. x̄ = ȳ ⊙ l, l̄ = Σ ȳ ⊙ x over the rows. x: [n, size], l: [size] */
const scaling =
  (name: string, l: Tensor): Layer =>
  (x) => ({
    value: multiplyRow(x, l),
    pullback: (yBar) => ({ x: multiplyRow(yBar, l), gradients: { [name]: columnSums(multiply(yBar, x)) } }),
  })

/** linear(x ⊙ l), or linear(x) ⊙ l, bias included; linear itself without a vector. The gradient of l is called `name`. */
export const scaledLinear = (linear: Layer, vector: ModuleVector | undefined, name: string): Layer => {
  if (vector === undefined) return linear
  const scaled = scaling(name, vector.l)
  return vector.scales === 'input' ? sequence(scaled, linear) : sequence(linear, scaled)
}
