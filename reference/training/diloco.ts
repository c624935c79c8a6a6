/** The outer update of DiLoCo (Douillard et al., 2023, algorithm 1): replicas train apart for some steps, then their mean moves the shared parameter. */
import { generate, map, zipWith, type Tensor } from '../tensor/tensor.js'

export interface OuterSettings {
  readonly learningRate: number
  readonly momentum: number
}

/**
 * Nesterov's momentum on the outer gradient Δ, in PyTorch's form.
 *  - Δ ← (1 / K) Σₖ (θ − θₖ)
 *  - b ← μb + Δ
 *  - θ ← θ − η(Δ + μb)
 *
 * @param replicas the parameter θₖ of each replica after its steps from θ @param velocity b, 0 before the first round
 */
export const outerUpdate =
  ({ learningRate, momentum }: OuterSettings) =>
  (parameter: Tensor, replicas: ReadonlyArray<Tensor>, velocity: Tensor): readonly [Tensor, Tensor] => {
    const difference = (replica: Tensor): Tensor => zipWith((shared, own) => shared - own)(parameter, replica)
    const total = replicas.map(difference).reduce((a, b) => zipWith((x, y) => x + y)(a, b))
    const outer = map((x) => x / replicas.length)(total)
    const next = zipWith((b, delta) => momentum * b + delta)(velocity, outer)
    const move = (i: number): number => learningRate * (outer.data[i]! + momentum * next.data[i]!)
    return [generate(parameter.shape, (i) => parameter.data[i]! - move(i)), next]
  }
