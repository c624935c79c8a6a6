/** The objective L(W, Θ, λ) and its gradient with respect to everything that is trained. Equation (12), or with a constant λ equation (10). */
import * as R from 'fp-ts/lib/ReadonlyRecord.js'
import { causalLoss, causalLossVjp, crossEntropy, crossEntropyVjp, meanSquaredError, meanSquaredErrorVjp } from '../../layers/losses.js'
import type { Tokens } from '../../models/embeddings.js'
import type { ModelOptions } from '../../models/model.js'
import { buildModel, type ModelConfig } from '../../models/models.js'
import { add, named, zerosLike, type Tensor, type Tensors } from '../../tensor/tensor.js'
import { openGates, adapterScale, type Adapter } from '../../layers/lowRank.js'
import { deterministicGate, sampleGate, sampleGateVjp, type HardConcrete } from './hardConcrete.js'
import type { ControlRule } from './gateControl.js'
import { density, densityTerm } from './lagrangian.js'
import type { Noise } from './noise.js'
import { orthogonalityTerm, type OrthogonalitySettings } from './orthogonality.js'
import type { AfterEnd, Parameters } from './trainingState.js'

/** Examples, and for each a class or, in a regression, a number. Language models and classes of tokens have one label a token, the examples one after another. */
export interface Batch extends Tokens {
  readonly labels: readonly number[]
}

/** sampled: g drawn from u · expected: g = ĝ · open: g = 1, and after T_end the kept gates. Only sampled gates train Θ and λ. */
export type Gating = 'sampled' | 'expected' | 'open'

export interface ObjectiveSettings extends HardConcrete, OrthogonalitySettings {
  readonly alpha: number
  readonly rank: number
  /** Which term lowers the density, and by which steps. */
  readonly control: ControlRule
}

export interface Constraint {
  readonly gating: Gating
  /** b in this step. */
  readonly targetDensity: number
}

export interface Objective {
  /** L: taskLoss + the orthogonality term + penalty */
  readonly loss: number
  /** The batch's mean loss. */
  readonly taskLoss: number
  /** R(Bᵢ, Aᵢ) by module, the sum of its two norms. */
  readonly orthogonalities: Readonly<Record<string, number>>
  /** Σᵢ R(Bᵢ, Aᵢ), without its weight in L. */
  readonly orthogonality: number
  /** C(Θ) */
  readonly density: number
  /** λ (C(Θ) − b)², or λ Σᵢ E‖Gᵢ‖₀ with a constant λ, if gates are sampled, else 0. */
  readonly penalty: number
  /** [batch, labels], [tokens, labels] if tokens are classified, or of a language model [tokens, vocabulary] */
  readonly logits: Tensor
  /** g by module, each [r]. */
  readonly gates: Tensors
  /** ∂L/∂ each parameter; those of Θ and λ are 0 unless gates are sampled. */
  readonly gradients: Parameters
  /** ∂L/∂ the base model's tensors; empty unless `baseGradients` is set. */
  readonly baseGradients: Tensors
}

const computeGates =
  (settings: HardConcrete, gating: Gating, noise: Noise, kept: Tensors) =>
  (module: string, adapter: Adapter): Tensor =>
    ({
      sampled: () => sampleGate(settings)(adapter.logTheta, named(noise.gates, module)),
      expected: () => deterministicGate(settings)(adapter.logTheta),
      open: () => kept[module] ?? openGates(adapter),
    })[gating]()

const losses = {
  classification: { value: crossEntropy, vjp: crossEntropyVjp },
  regression: { value: meanSquaredError, vjp: meanSquaredErrorVjp },
  causal: { value: causalLoss, vjp: causalLossVjp },
  tokens: { value: causalLoss, vjp: causalLossVjp }, // each token's own class in place of the next token
}

/**
 * L(W, Θ, λ) = mean loss + β Σᵢ R(Bᵢ, Aᵢ) + λ (C(Θ) − b)², equation (12); by default β / 2K replaces β. With a constant λ the last term is
 * λ Σᵢ E‖Gᵢ‖₀, equation (10).
 * Steps without sampled gates omit the last term: L(W) of Algorithm 1. After T_end, `afterEnd` holds the gates and norms of T_end.
 * @throws Error if shapes or labels do not fit
 */
export const objective =
  (config: ModelConfig, settings: ObjectiveSettings, base: Tensors, options: Omit<ModelOptions, 'scale'> = {}) =>
  (
    parameters: Parameters,
    batch: Batch,
    noise: Noise,
    { gating, targetDensity }: Constraint,
    afterEnd: AfterEnd | null = null,
  ): Objective => {
    const { adapters, head, lambda } = parameters
    const sampled = gating === 'sampled'
    const gates = R.mapWithIndex(computeGates(settings, gating, noise, afterEnd?.gates ?? {}))(adapters)

    // Forwards.
    const run = buildModel(config, { ...options, scale: adapterScale(settings) })
    const traced = run({ base, adapters, gates, head }, batch, noise.dropout)
    const lossFunction = losses[config.taskType]
    const taskLoss = lossFunction.value(traced.logits, batch.labels)
    const regularizer = orthogonalityTerm(settings)(adapters, afterEnd?.squaredNorms ?? null)
    const budget = densityTerm(settings)(adapters, lambda, targetDensity)
    const penaltyNow = sampled ? budget.value : 0

    // Backwards.
    const task = traced.pullback(lossFunction.vjp(traced.logits, batch.labels, 1))
    const adapterGradient = (module: string, adapter: Adapter): Adapter => {
      const [factors, independence] = [task.adapters[module]!, regularizer.gradients[module]!]
      const thetaGradient = (): Tensor =>
        add(
          sampleGateVjp(settings)(adapter.logTheta, named(noise.gates, module), named(task.gates, module)), // through the loss
          named(budget.logTheta, module), // through the density
        )
      return {
        A: add(factors.A, independence.A),
        B: add(factors.B, independence.B),
        logTheta: sampled ? thetaGradient() : zerosLike(adapter.logTheta),
      }
    }
    return {
      loss: taskLoss + regularizer.value + penaltyNow,
      taskLoss,
      orthogonalities: regularizer.each,
      orthogonality: regularizer.total,
      density: density(settings)(adapters),
      penalty: penaltyNow,
      logits: traced.logits,
      gates,
      gradients: {
        adapters: R.mapWithIndex(adapterGradient)(adapters),
        head: task.head,
        lambda: sampled ? budget.lambda : 0, // ∂L/∂λ = (C − b)²
      },
      baseGradients: task.base,
    }
  }
