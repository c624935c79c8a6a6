/** One iteration of Algorithm 1: from a state, a mini-batch and noise to the next state. */
import * as R from 'fp-ts/lib/ReadonlyRecord.js'
import type { FrozenLinear } from '../../layers/linear.js'
import type { ModelConfig } from '../../models/models.js'
import { filled, named, scaleBy, squaredNorm, subtract, type Tensor, type Tensors } from '../../tensor/tensor.js'
import { adamw, type AdamWSettings, type Moments } from '../../training/adamw.js'
import type { Adapter } from '../../layers/lowRank.js'
import type { GateControl } from './gateControl.js'
import { multiplierAscent, project } from './lagrangian.js'
import type { Noise } from './noise.js'
import { objective, type Batch, type Constraint, type Objective, type ObjectiveSettings } from './objective.js'
import type { Parameters, TrainingState } from './trainingState.js'

export interface StepSettings extends ObjectiveSettings, AdamWSettings {
  readonly weightDecay: number
  /** η_B / η_A. */
  readonly loraPlusRatio: number
  /** Adam of Θ. */
  readonly gateAdam: AdamWSettings
  readonly clip?: number
}

/** The inputs that may change from step to step. */
export interface StepControl extends Constraint, GateControl {
  /** η_p of A, B and the head. */
  readonly learningRate: number
}

/** The objective before the update, and the norm of W's gradient before clipping. */
export interface StepReport extends Objective {
  readonly gradientNorm: number
}

type Updated = readonly [Tensor, Moments]

const updatedParameter = ([parameter]: Updated): Tensor => parameter
const updatedM = ([, { m }]: Updated): Tensor => m
const updatedV = ([, { v }]: Updated): Tensor => v

/** ‖∇_W L‖ over A, B and the head together. */
const weightGradientNorm = ({ adapters, head }: Parameters): number =>
  Math.sqrt(
    [...Object.values(adapters).flatMap(({ A, B }) => [A, B]), ...Object.values(head)].reduce(
      (total, gradient) => total + squaredNorm(gradient),
      0,
    ),
  )

/** min(1, clip / (norm + 1e-6)), as PyTorch clips; 1 when nothing is clipped. */
const clipFactor = (clip: number | undefined, norm: number): number => (clip === undefined ? 1 : Math.min(1, clip / (norm + 1e-6)))

const scalar = (x: number): Tensor => filled([], x)

/** Θ's descent: Adam's, without decay, or a plain step. */
const descend =
  (settings: StepSettings, { controlLearningRate }: StepControl, step: number) =>
  (logTheta: Tensor, gradient: Tensor, moments: Moments): Updated =>
    settings.control === 'descent'
      ? [subtract(logTheta, scaleBy(controlLearningRate)(gradient)), moments]
      : adamw(settings.gateAdam)(logTheta, gradient, moments, { learningRate: controlLearningRate, weightDecay: 0, step })

/** λ's ascent: Adam's descent of −λ, so that the moments are those of ∂L/∂λ, or a plain step. → λ and its moments */
const ascend =
  (settings: StepSettings, { multiplierLearningRate }: StepControl, step: number) =>
  ({ lambda, m, v }: TrainingState, gradient: number): readonly [number, number, number] => {
    if (settings.control === 'descent') return [multiplierAscent(multiplierLearningRate)(lambda, gradient), m.lambda, v.lambda]
    const before = { m: scalar(m.lambda), v: scalar(v.lambda) }
    const now = { learningRate: multiplierLearningRate, weightDecay: 0, step }
    const [next, moments] = adamw(settings)(scalar(-lambda), scalar(gradient), before, now)
    return [project(-next.data[0]!), moments.m.data[0]!, moments.v.data[0]!]
  }

/**
 * (state, batch, noise, control) → [next state, report]. `control.gating` is 'sampled' for T_start ≤ t < T_end.
 * `frozenLinear` computes products with frozen matrices, exactly by default. @throws Error if shapes, names or labels do not fit
 */
export const trainingStep =
  (config: ModelConfig, settings: StepSettings, base: Tensors, options: { readonly frozenLinear?: FrozenLinear } = {}) =>
  (state: TrainingState, batch: Batch, noise: Noise, control: StepControl): readonly [TrainingState, StepReport] => {
    // 1  for t = 1, …, T do
    const step = state.step + 1
    // 2    Sample a mini-batch from D                                          → `batch`
    // 3    if T_start ≤ t < T_end then                                         → `control.gating`
    const gated = control.gating === 'sampled'
    const gatedStep = state.gatedStep + (gated ? 1 : 0)
    // 4      Sample a gate mask set G and share it across the mini-batch       → `noise.gates`
    // 5      Compute the gradient ∇L(W, Θ, λ)
    // 9, 10  else compute the gradient ∇L(W). The paper does not say what g is there: 1 or ĝ, as `control.gating` says.
    const evaluated = objective(config, settings, base, options)(state, batch, noise, control, state.afterEnd)
    const { gradients } = evaluated
    const gradientNorm = weightGradientNorm(gradients)
    const factor = clipFactor(settings.clip, gradientNorm)
    // 6, 11  Update W ← W − η_p ∇_W L. The paper names AdamW for it; matrices decay, biases do not.
    const weight = (parameter: Tensor, gradient: Tensor, m: Tensor, v: Tensor, ratio = 1): Updated =>
      adamw(settings)(
        parameter,
        scaleBy(factor)(gradient),
        { m, v },
        {
          learningRate: ratio * control.learningRate,
          weightDecay: parameter.shape.length > 1 ? settings.weightDecay : 0,
          step,
        },
      )
    // 7      Update Θ ← Θ − η_c ∇_Θ L. The paper gives no bound for log θ, and none is needed in float64.
    const location = (logTheta: Tensor, gradient: Tensor, m: Tensor, v: Tensor): Updated =>
      gated ? descend(settings, control, gatedStep)(logTheta, gradient, { m, v }) : [logTheta, { m, v }]
    // 8      Update λ ← λ + η_c ∇_λ L, projected onto R₊.
    //        In 7 and 8, these are Adam's steps, or with `descent` plain ones, as the paper writes them. A constant λ has a rate of 0.
    const [lambda, lambdaM, lambdaV] = gated
      ? ascend(settings, control, gatedStep)(state, gradients.lambda)
      : [state.lambda, state.m.lambda, state.v.lambda]

    // The three updates are simultaneous: each gradient above is that of the old W, Θ and λ.
    const adapters = R.mapWithIndex((module: string, { A, B, logTheta }: Adapter) => {
      const [gradient, m, v] = [gradients.adapters[module]!, state.m.adapters[module]!, state.v.adapters[module]!] as const
      return {
        A: weight(A, gradient.A, m.A, v.A),
        B: weight(B, gradient.B, m.B, v.B, settings.loraPlusRatio),
        logTheta: location(logTheta, gradient.logTheta, m.logTheta, v.logTheta),
      }
    })(state.adapters)
    const head = R.mapWithIndex((name: string, parameter: Tensor) =>
      weight(parameter, named(gradients.head, name), named(state.m.head, name), named(state.v.head, name)),
    )(state.head)
    return [
      {
        ...collect(adapters, head, updatedParameter, lambda),
        m: collect(adapters, head, updatedM, lambdaM),
        v: collect(adapters, head, updatedV, lambdaV),
        step,
        gatedStep,
        afterEnd: state.afterEnd,
      },
      { ...evaluated, gradientNorm },
    ]
  }

/** One part of every update: the parameters, m or v. */
const collect = (
  adapters: Readonly<Record<string, Readonly<Record<keyof Adapter, Updated>>>>,
  head: Readonly<Record<string, Updated>>,
  part: (updated: Updated) => Tensor,
  lambda: number,
): Parameters => ({
  adapters: R.map(({ A, B, logTheta }: Readonly<Record<keyof Adapter, Updated>>) => ({ A: part(A), B: part(B), logTheta: part(logTheta) }))(
    adapters,
  ),
  head: R.map(part)(head),
  lambda,
})
