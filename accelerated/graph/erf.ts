/**
 * erf in float64, which ONNX Runtime's CPU provider lacks, from operators that it has: the rational approximations of Cody (1969), evaluated
 * in float64. The result errs by 3e-16 at most.
 */
import type { Expression } from './expression.js'
import { add, clip, div, exp, less, maximum, mul, neg, square, sub, where } from './operators.js'

/** Below it erf itself is approximated, above it 1 − erf: neither loses digits to a difference. */
const border = 0.46875
/** From here on erf is ±1 to the last bit. */
const saturation = 6

// Coefficients from the highest power down; denominators begin with 1.
const nearNumerator = [0.18577770618460315, 3.1611237438705655, 113.86415415105016, 377.485237685302, 3209.3775891384694]
const nearDenominator = [1, 23.601290952344122, 244.02463793444417, 1282.6165260773723, 2844.236833439171]
const farNumerator = [
  2.1531153547440383e-8, 0.5641884969886701, 8.883149794388377, 66.11919063714163, 298.6351381974001, 881.952221241769, 1712.0476126340707,
  2051.0783778260716, 1230.3393547979972,
]
const farDenominator = [
  1, 15.744926110709835, 117.6939508913125, 537.1811018620099, 1621.3895745666903, 3290.7992357334597, 4362.619090143247,
  3439.3676741437216, 1230.3393548037495,
]

/** Σ coefficients[i] x^(n − i) by Horner's rule. */
const polynomial = ([highest = 0, next = 0, ...rest]: readonly number[], x: Expression): Expression =>
  rest.reduce((sum, coefficient) => add(mul(sum, x), coefficient), add(highest === 1 ? x : mul(x, highest), next))

/** erf x = x P(x²) / Q(x²) for |x| < 0.46875 */
const nearZero = (x: Expression): Expression => {
  const squared = square(x)
  return mul(x, div(polynomial(nearNumerator, squared), polynomial(nearDenominator, squared)))
}

/** erf x = 1 − e^(−x²) P(x) / Q(x) for 0.46875 ≤ x ≤ 6 */
const farFromZero = (x: Expression): Expression =>
  sub(1, mul(exp(neg(square(x))), div(polynomial(farNumerator, x), polynomial(farDenominator, x))))

export const erfFloat64 = (x: Expression): Expression => {
  const bounded = clip(x, -saturation, saturation)
  const magnitude = maximum(bounded, neg(bounded))
  const far = farFromZero(magnitude)
  return where(less(magnitude, border), nearZero(bounded), where(less(bounded, 0), neg(far), far))
}
