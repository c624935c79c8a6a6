/** Optimizer groups: how the tensors of a group are updated, as data. A method's tensors each name the group that they belong to. */
import { input, add, maximum, mul, sub } from '../graph/operators.js'
import type { Expression, FloatType } from '../graph/expression.js'
import type { AdamWSettings, Moments } from './adamw.js'
import { adamw } from './adamw.js'

export type OptimizerGroup = {
  readonly name: string
  /** Adam with these constants, or null for plain steps along the gradient */
  readonly adam: AdamWSettings | null
  readonly weightDecay: number
  readonly direction: 'descent' | 'ascent'
  /** the feed of its learning rate */
  readonly learningRateFeed: string
  /** the feeds of its bias corrections begin so: `gate` → gateCorrection1, gateCorrection2 */
  readonly correctionPrefix: string
  /** part of W: its gradient counts in the norm that is reported, and is clipped */
  readonly isWeight: boolean
  /** projected to ≥ 0 after each step */
  readonly nonNegative: boolean
}

/** The names of a group's two bias corrections, 1 − β₁ᵗ and 1 − β₂ᵗ. */
export const correctionNames = (counter: string): readonly [string, string] => [`${counter}Correction1`, `${counter}Correction2`]

/** W: descends by AdamW at η_p; matrices decay, vectors do not. */
export const weightGroups = (adam: AdamWSettings, weightDecay: number): Readonly<Record<'decayed' | 'undecayed', OptimizerGroup>> => {
  const group = (name: string, decay: number): OptimizerGroup => ({
    name,
    adam,
    weightDecay: decay,
    direction: 'descent',
    learningRateFeed: 'learningRate',
    correctionPrefix: 'weight',
    isWeight: true,
    nonNegative: false,
  })
  return { decayed: group('decayed', weightDecay), undecayed: group('undecayed', 0) }
}

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
  const stepped =
    group.adam === null
      ? { parameters: (group.direction === 'ascent' ? add : sub)(parameters, mul(scalar(group.learningRateFeed), gradient)), moments }
      : adamw(group.adam)(
          parameters,
          gradient,
          moments,
          { rate: scalar(group.learningRateFeed), correction1: scalar(first), correction2: scalar(second) },
          group.weightDecay,
          group.direction === 'ascent' ? 1 : -1,
        )
  return group.nonNegative ? { ...stepped, parameters: maximum(stepped.parameters, 0) } : stepped
}
