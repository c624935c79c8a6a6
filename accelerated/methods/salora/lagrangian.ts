/** The density constraint and its Lagrangian: equations (11) and (12). */
import type { Expression } from '../../graph/expression.js'
import { mul, square, sub } from '../../graph/operators.js'
import { expressionBackend, type NumericBackend } from './numericBackend.js'
import { probabilityNonZeroOn, type HardConcrete } from './hardConcrete.js'

/** The parameters that gate j switches: dᵢ + kᵢ for each of the rᵢ gates of matrix i, in the order of log θ. */
export const gateCosts = (matrices: ReadonlyArray<{ readonly d: number; readonly k: number; readonly r: number }>): ReadonlyArray<number> =>
  matrices.flatMap(({ d, k, r }) => new Array<number>(r).fill(d + k))

/** Eq. (11): C(Θ) = Σⱼ P(gⱼ > 0) costⱼ / Σⱼ costⱼ. logTheta: [gates] → one number in [0, 1] */
export const densityOn =
  <T>(on: NumericBackend<T>) =>
  (settings: HardConcrete, costs: ReadonlyArray<number>) =>
  (logTheta: T): T => {
    const total = costs.reduce((a, b) => a + b, 0)
    const shares = on.constant(
      costs.map((cost) => cost / total),
      logTheta,
    )
    return on.sum(on.mul(probabilityNonZeroOn(on)(settings)(logTheta), shares))
  }

/** Eq. (11)'s C(Θ) as an expression. */
export const density = densityOn(expressionBackend)

/** Eq. (12)'s last term: λ (C(Θ) − b)². All scalars. */
export const densityPenalty = (lambda: Expression, c: Expression, b: Expression): Expression => mul(lambda, square(sub(c, b)))
