/** Derivatives by central differences of the fourth order: the oracle for every hand-derived gradient. */
import { generate, multiply, named, sum, type Tensor, type Tensors } from '../../reference/index.js'
import { assertClose } from './assertClose.js'

// The truncation error is h⁴ f⁗′/30 ≈ 2e-15 f⁗′, the rounding error about ε f / h ≈ 4e-13 f.
const h = 5e-4

/** f′(0) = (8 (f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h */
export const slope = (f: (x: number) => number): number => (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)

/** ∂f/∂xᵢ for every i. */
export const gradient = (f: (x: Tensor) => number, x: Tensor): Tensor =>
  generate(x.shape, (i) => slope((step) => f(generate(x.shape, (j) => x.data[j]! + (i === j ? step : 0)))))

/** d/dt f(x + t·direction) at t = 0. */
export const directional = (f: (x: Tensor) => number, x: Tensor, direction: Tensor): number =>
  slope((step) => f(generate(x.shape, (i) => x.data[i]! + step * direction.data[i]!)))

export interface VjpCase {
  readonly name: string
  readonly forward: (inputs: Tensors) => Tensor
  readonly vjp: (inputs: Tensors, yBar: Tensor) => Tensors
  readonly inputs: Tensors
  readonly yBar: Tensor
}

/** Every gradient that `vjp` returns is that of ⟨ȳ, forward(inputs)⟩ by differences. */
export const assertVjp = ({ name, forward, vjp, inputs, yBar }: VjpCase): void =>
  Object.entries(vjp(inputs, yBar)).forEach(([input, actual]) => {
    const expected = gradient((x) => sum(multiply(yBar, forward({ ...inputs, [input]: x }))), named(inputs, input))
    assertClose(actual.data, expected.data, { relative: 1e-8, absolute: 1e-10, name: `${name}: gradient of ${input}` })
  })
