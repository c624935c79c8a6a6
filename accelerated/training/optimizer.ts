/** The update of a block by the rule of its optimizer group: AdamW or a plain step, then a projection. */
import { input, add, maximum, mul, sub } from '../graph/operators.js'
import type { Expression, FloatType } from '../graph/expression.js'
import type { Moments } from './adamw.js'
import { correctionNames, type OptimizerGroup } from '../parameters/optimizerGroup.js'
import { adamw } from './adamw.js'

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
