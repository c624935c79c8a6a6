/** What lowers the density: the constraint of equation (11) by its term in the Lagrangian, equation (12), or the penalty of equation (10). */
import type { Expression } from '../../graph/expression.js'
import { mul, reduceSum, square, sub } from '../../graph/operators.js'
import { expressionBackend, type NumericBackend, probabilityNonZero, probabilityNonZeroOn, type HardConcrete } from './hardConcrete.js'

/** The parameters behind each gate: dᵢ + kᵢ for each of the rᵢ gates of matrix i, in the order of log θ. */
export const gateCosts = (matrices: readonly { readonly d: number; readonly k: number; readonly r: number }[]): readonly number[] =>
  matrices.flatMap(({ d, k, r }) => new Array<number>(r).fill(d + k))

/** The expected density, equation (11): C(Θ) = Σⱼ P(gⱼ > 0) costⱼ / Σⱼ costⱼ. logTheta: [gates] → one number in [0, 1] */
export const densityOn =
  <T>(on: NumericBackend<T>) =>
  (settings: HardConcrete, costs: readonly number[]) =>
  (logTheta: T): T => {
    const total = costs.reduce((a, b) => a + b, 0)
    const shares = on.constant(
      costs.map((cost) => cost / total),
      logTheta,
    )
    return on.sum(on.mul(probabilityNonZeroOn(on)(settings)(logTheta), shares))
  }

/** C(Θ) of equation (11) in a graph. */
export const density = densityOn(expressionBackend)

/** The last term of equation (12): λ (C(Θ) − b)². All scalars. */
export const densityPenalty = (lambda: Expression, c: Expression, b: Expression): Expression => mul(lambda, square(sub(c, b)))

/** The sparsity term of equation (10): λ Σᵢ E‖Gᵢ‖₀ over the gates of all matrices. lambda: scalar, logTheta: [gates] → scalar */
export const gatePenalty =
  (settings: HardConcrete) =>
  (lambda: Expression, logTheta: Expression): Expression =>
    mul(lambda, reduceSum(probabilityNonZero(settings)(logTheta)))
