/** The update of a block by the rule of its optimizer group: AdamW or a plain step, then a projection. */
import { input, add, maximum, mul, sub, div, sqrt, square } from '../graph/operators.js'
import type { Expression, FloatType } from '../graph/expression.js'
import { correctionNames, type OptimizerGroup, type AdamWSettings } from '../parameters/optimizerGroup.js'

/** The next parameters and moments of one block of a group. All vectors: [n] */
export const update = (
  group: OptimizerGroup,
  parameters: Expression,
  gradient: Expression,
  moments: Moments,
  dtype: FloatType,
): ReturnType<ReturnType<typeof adamw>> => {
  const scalar = (name: string): Expression => input(name, [], dtype)
  const [first, second] = correctionNames(group.correctionPrefix)
  const fed = scalar(group.learningRateFeed)
  const rate = group.learningRateRatio === 1 ? fed : mul(fed, group.learningRateRatio)
  const stepped =
    group.adam === null
      ? { parameters: (group.direction === 'ascent' ? add : sub)(parameters, mul(rate, gradient)), moments }
      : adamw(group.adam)(
          parameters,
          gradient,
          moments,
          { rate, correction1: scalar(first), correction2: scalar(second) },
          group.weightDecay,
          group.direction === 'ascent' ? 1 : -1,
        )
  return group.nonNegative ? { ...stepped, parameters: maximum(stepped.parameters, 0) } : stepped
}

/** AdamW as expressions over one flat vector: Loshchilov & Hutter (2019), in PyTorch's form. */
type Moments = { readonly first: Expression; readonly second: Expression }
/** Scalars of a step: η and the bias corrections 1 − β₁ᵗ and 1 − β₂ᵗ. */
type StepScalars = { readonly rate: Expression; readonly correction1: Expression; readonly correction2: Expression }

/**
 * m ← β₁m + (1 − β₁)ḡ, v ← β₂v + (1 − β₂)ḡ², p ← (1 − ηω)p − η · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε); ω is the weight decay.
 * parameters, gradient, moments: [n]. `direction` is −1 for descent and 1 for ascent.
 */
export const adamw =
  ({ beta1, beta2, epsilon }: AdamWSettings) =>
  (
    parameters: Expression,
    gradient: Expression,
    { first, second }: Moments,
    { rate, correction1, correction2 }: StepScalars,
    weightDecay: number,
    direction: -1 | 1 = -1,
  ): { readonly parameters: Expression; readonly moments: Moments } => {
    const m = add(mul(first, beta1), mul(gradient, 1 - beta1))
    const v = add(mul(second, beta2), mul(square(gradient), 1 - beta2))
    const step = mul(div(rate, correction1), div(m, add(sqrt(div(v, correction2)), epsilon)))
    const decayed = weightDecay === 0 ? parameters : mul(parameters, sub(1, mul(rate, weightDecay)))
    return { parameters: direction === 1 ? add(decayed, step) : sub(decayed, step), moments: { first: m, second: v } }
  }
