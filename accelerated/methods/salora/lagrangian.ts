/** The density constraint and its Lagrangian as expressions: equations (11) and (12). */
import type { Expression } from '../../graph/expression.js'
import { add, constant, mul, reduceSum, square, sub } from '../../graph/operators.js'
import type { HardConcrete } from './hardConcrete.js'
import { probabilityNonZero } from './hardConcrete.js'

/** The parameters that gate j switches: dᵢ + kᵢ for each of the rᵢ gates of matrix i, in the order of log θ. */
export const gateCosts = (matrices: ReadonlyArray<{ readonly d: number; readonly k: number; readonly r: number }>): ReadonlyArray<number> =>
  matrices.flatMap(({ d, k, r }) => new Array<number>(r).fill(d + k))

/** Eq. (11): C(Θ) = Σⱼ P(gⱼ > 0) costⱼ / Σⱼ costⱼ. logTheta: [gates] → scalar in [0, 1] */
export const density =
  (settings: HardConcrete, costs: ReadonlyArray<number>) =>
  (logTheta: Expression): Expression => {
    const total = costs.reduce((a, b) => a + b, 0)
    const share = constant(
      costs.map((cost) => cost / total),
      [costs.length],
      logTheta.dtype,
    )
    return reduceSum(mul(probabilityNonZero(settings)(logTheta), share))
  }

/** Eq. (12): R(W, Θ) + λ (C(Θ) − b)². All scalars. */
export const lagrangian = (objective: Expression, lambda: Expression, c: Expression, b: Expression): Expression =>
  add(objective, mul(lambda, square(sub(c, b))))
