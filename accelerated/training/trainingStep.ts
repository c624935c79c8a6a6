/**
 * One training step as one graph: objective, gradients, clipping, AdamW. Inputs are the state, the batch, the noise and the step's scalars;
 * outputs are the next state and what is reported. A step is a pure function of its feeds.
 */
import type { AdamWSettings } from './adamw.js'
import { adamw, projectToNonNegative } from './adamw.js'
import type { Expression } from '../graph/expression.js'
import { gradient } from '../graph/gradient.js'
import { add, concat, div, input, minimum, mul, reduceSum, reshape, split, sqrt, square } from '../graph/operators.js'
import type { ParameterGroup, ParameterLayout } from './parameterVector.js'
import { splitParameters } from './parameterVector.js'

export type Scalar = 'float32' | 'float64'

/** What a method minimises (and, in λ, maximises), given its trainable tensors by name. */
export type Objective = (parameter: (name: string) => Expression) => {
  /** scalar, the L of Algorithm 1 */
  readonly loss: Expression
  /** outputs of the step beside the state */
  readonly report: Readonly<Record<string, Expression>>
}

export type StepSettings = AdamWSettings & {
  readonly weightDecay: number
  /** largest norm of W's gradient, or null for no clipping */
  readonly clip: number | null
  /** Adam of log θ; its memory is short, since it sits in a closed loop with λ (see gateControl.ts) */
  readonly gateAdam: AdamWSettings
  /** how λ ascends: by Adam, or by its plain gradient as Algorithm 1 writes it */
  readonly lambdaOptimizer: 'adam' | 'sgd'
}

/**
 * whole: gradients of this batch, then the update · add: gradients of this part of a batch, added to the sum so far ·
 * finish: the last part of a batch, then the update
 */
export type Accumulation = 'whole' | 'add' | 'finish'

/** The step's outputs by name: nextParameters, nextFirstMoment, nextSecondMoment (or nextGradientSum), loss, gradientNorm and the objective's report. */
export const trainingStep = (
  layout: ParameterLayout,
  objective: Objective,
  settings: StepSettings,
  accumulation: Accumulation = 'whole',
  dtype: Scalar = 'float32',
): Readonly<Record<string, Expression>> => {
  const parameters = input('parameters', [layout.size], dtype)
  const tensors = splitParameters(layout, parameters)
  const { loss, report } = objective((name) => lookUp(tensors, name))

  const gradients = gradient(
    loss,
    layout.entries.map(({ name }) => lookUp(tensors, name)),
  )
  const fresh = concat(
    gradients.map((g, i) => reshape(g, [layout.entries[i]?.size ?? 0])),
    0,
  )
  const total = accumulation === 'whole' ? fresh : add(fresh, input('gradientSum', [layout.size], dtype))
  if (accumulation === 'add') return { ...report, loss, nextGradientSum: total }

  const sizes = layout.groups.map(({ size }) => size)
  const inGroups = (vector: Expression): ReadonlyArray<Expression> => split(vector, sizes)
  const [p, g, m, v] = [parameters, total, input('firstMoment', [layout.size], dtype), input('secondMoment', [layout.size], dtype)].map(
    inGroups,
  ) as [G, G, G, G]
  const { factor, norm } = clipping(
    settings.clip,
    g.filter((_, i) => isWeight(layout.groups[i]?.group)),
  )
  const updated = layout.groups.map(({ group }, i) => {
    const [parameter, gradientOf, first, second] = [p[i], g[i], m[i], v[i]] as [Expression, Expression, Expression, Expression]
    return updateGroup(
      group,
      settings,
      parameter,
      isWeight(group) && factor !== null ? mul(gradientOf, factor) : gradientOf,
      { first, second },
      dtype,
    )
  })
  return {
    ...report,
    loss,
    gradientNorm: norm,
    nextParameters: concat(
      updated.map((u) => u.parameters),
      0,
    ),
    nextFirstMoment: concat(
      updated.map((u) => u.moments.first),
      0,
    ),
    nextSecondMoment: concat(
      updated.map((u) => u.moments.second),
      0,
    ),
  }
}

type G = ReadonlyArray<Expression>

const isWeight = (group: ParameterGroup | undefined): boolean => group === 'decayed' || group === 'undecayed'

const lookUp = (tensors: ReadonlyMap<string, Expression>, name: string): Expression => {
  const tensor = tensors.get(name)
  if (tensor === undefined)
    throw new Error(`trainingStep: expected ${name} among the trained tensors, found ${[...tensors.keys()].join(', ')}`)
  return tensor
}

/** ‖ḡ‖₂ over W, and min(1, clip / (‖ḡ‖ + 1e-6)) as PyTorch's clip_grad_norm_. */
const clipping = (clip: number | null, weights: G): { readonly norm: Expression; readonly factor: Expression | null } => {
  const norm = sqrt(weights.map((g) => reduceSum(square(g))).reduce((a, b) => add(a, b)))
  return { norm, factor: clip === null ? null : minimum(div(clip, add(norm, 1e-6)), 1) }
}

/** W by AdamW at η_p; Θ by Adam at η_c; λ by ascent, then projected: three lines of Algorithm 1. */
const updateGroup = (
  group: ParameterGroup,
  settings: StepSettings,
  parameters: Expression,
  gradientOf: Expression,
  moments: { first: Expression; second: Expression },
  dtype: Scalar,
): ReturnType<ReturnType<typeof adamw>> => {
  const scalarInput = (name: string): Expression => input(name, [], dtype)
  const weightScalars = {
    rate: scalarInput('learningRate'),
    correction1: scalarInput('correction1'),
    correction2: scalarInput('correction2'),
  }
  const control = (rate: string, of: 'gate' | 'multiplier') => ({
    rate: scalarInput(rate),
    correction1: scalarInput(`${of}Correction1`),
    correction2: scalarInput(`${of}Correction2`),
  })
  switch (group) {
    case 'decayed':
      return adamw(settings)(parameters, gradientOf, moments, weightScalars, settings.weightDecay)
    case 'undecayed':
      return adamw(settings)(parameters, gradientOf, moments, weightScalars, 0)
    case 'gates':
      return adamw(settings.gateAdam)(parameters, gradientOf, moments, control('controlLearningRate', 'gate'), 0)
    case 'multiplier': {
      const ascended =
        settings.lambdaOptimizer === 'adam'
          ? adamw(settings)(parameters, gradientOf, moments, control('multiplierLearningRate', 'multiplier'), 0, 1)
          : { parameters: add(parameters, mul(scalarInput('multiplierLearningRate'), gradientOf)), moments }
      return { ...ascended, parameters: projectToNonNegative(ascended.parameters) }
    }
  }
}
