/** AdamW as expressions over one flat vector: Loshchilov & Hutter (2019), in PyTorch's form. */
import type { Expression } from '../graph/expression.js'
import type { AdamWSettings } from '../parameters/optimizerGroup.js'
import { add, div, mul, sqrt, square, sub } from '../graph/operators.js'

export type Moments = { readonly first: Expression; readonly second: Expression }
/** Scalars of a step: η and the bias corrections 1 − β₁ᵗ and 1 − β₂ᵗ. */
export type StepScalars = { readonly rate: Expression; readonly correction1: Expression; readonly correction2: Expression }

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
