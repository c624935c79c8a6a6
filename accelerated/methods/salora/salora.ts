/** SaLoRA's objective on a sequence task: the mean loss, equation (9)'s orthogonality and, while gates are sampled, equation (12)'s constraint. */
import { batchInputs, rowSelection } from '../../models/batchInputs.js'
import type { Adapters, TensorSource } from '../../models/encoder.js'
import { encoder } from '../../models/encoder.js'
import type { AdapterModule, EncoderConfig } from '../../models/encoderConfig.js'
import { headTensorShapes } from '../../models/encoderConfig.js'
import type { Expression } from '../../graph/expression.js'
import { add, concat, input, mul, reduceSum, reshape, slice } from '../../graph/operators.js'
import type { HardConcrete } from './hardConcrete.js'
import { sampleGate } from './hardConcrete.js'
import { sequenceHead } from '../../models/heads.js'
import { density, gateCosts, lagrangian } from './lagrangian.js'
import type { DropoutPlan } from '../../models/layers/dropout.js'
import { noDropout } from '../../models/layers/dropout.js'
import { crossEntropySum, squaredErrorSum } from '../../models/layers/loss.js'
import { orthogonality } from './orthogonality.js'
import type { Trainable } from '../../training/parameterVector.js'
import type { Objective, Scalar } from '../../training/trainingStep.js'

/** One adapted matrix and the rank of its adapter: r before T_end, what was retained after. A matrix of rank 0 is not listed. */
export type AdaptedModule = AdapterModule & { readonly r: number }

/** open: plain LoRA, gates are 1 and do not exist · sampled: T_start ≤ t < T_end */
export type Gating = 'open' | 'sampled'

export type SaloraSettings = HardConcrete & {
  /** α / r of the rank that training started with; pruning does not change it */
  readonly scale: number
  readonly beta: number
}

/** A, B and the head; while gates are sampled also log θ (of all matrices, in their order) and λ. */
export const saloraTrainables = (
  config: EncoderConfig,
  modules: ReadonlyArray<AdaptedModule>,
  gating: Gating,
): ReadonlyArray<Trainable> => [
  ...modules.flatMap(
    ({ name, d, k, r }): ReadonlyArray<Trainable> => [
      { name: `${name}.A`, shape: [r, k], group: 'decayed' },
      { name: `${name}.B`, shape: [d, r], group: 'decayed' },
    ],
  ),
  ...[...headTensorShapes(config)].map(([name, shape]): Trainable => ({ name, shape, group: shape.length > 1 ? 'decayed' : 'undecayed' })),
  ...(gating === 'sampled'
    ? [
        { name: 'logTheta', shape: [modules.reduce((gates, { r }) => gates + r, 0)], group: 'gates' } as const,
        { name: 'lambda', shape: [], group: 'multiplier' } as const,
      ]
    : []),
]

/** Inputs beside the batch and the state: lossWeight = 1 / examples of the whole batch; `u` [gates] and targetDensity while gates are sampled. */
export const saloraObjective =
  (
    config: EncoderConfig,
    frozen: TensorSource,
    modules: ReadonlyArray<AdaptedModule>,
    settings: SaloraSettings,
    gating: Gating,
    { dropout }: DropoutPlan,
    dtype: Scalar,
    accumulating = false,
  ): Objective =>
  (parameter) => {
    const logTheta = gating === 'sampled' ? parameter('logTheta') : null
    const gates = logTheta === null ? null : sampleGate(settings)(logTheta, input('u', [logTheta.shape[0] ?? 0], dtype))
    const logits = sequenceLogits(config, frozen, adaptersOf(modules, settings.scale, parameter, gates), parameter, dropout, dtype)
    const regression = config.problem === 'regression'
    const labels = input('labels', ['batch'], regression ? dtype : 'int32')
    const taskLoss = mul((regression ? squaredErrorSum : crossEntropySum)(logits, labels), input('lossWeight', [], dtype))

    // A part of an accumulated batch carries its share of what does not depend on the batch, so that the parts add up to one step.
    const share = (x: Expression): Expression => (accumulating ? mul(x, input('batchShare', [], dtype)) : x)
    const regularisers =
      settings.beta === 0 || modules.length === 0
        ? null
        : concat(
            modules.map(({ name }) => reshape(orthogonality(parameter(`${name}.A`), parameter(`${name}.B`)), [1])),
            0,
          ) // [matrices]
    const objective = regularisers === null ? taskLoss : add(taskLoss, share(mul(reduceSum(regularisers), settings.beta)))
    const report = { taskLoss, ...(regularisers === null ? {} : { orthogonality: regularisers }) }
    if (logTheta === null) return { loss: objective, report }

    const c = density(settings, gateCosts(modules))(logTheta)
    return {
      loss: lagrangian(objective, share(parameter('lambda')), c, input('targetDensity', [], dtype)),
      report: { ...report, density: c },
    }
  }

/** Logits for evaluation and prediction: parameters in, no dropout, no gates. → { logits: [batch, labels] } */
export const sequenceInference =
  (config: EncoderConfig, frozen: TensorSource, modules: ReadonlyArray<AdaptedModule>, scale: number, dtype: Scalar) =>
  (parameter: TensorSource): Readonly<Record<string, Expression>> => ({
    logits: sequenceLogits(config, frozen, adaptersOf(modules, scale, parameter, null), parameter, noDropout.dropout, dtype),
  })

const sequenceLogits = (
  config: EncoderConfig,
  frozen: TensorSource,
  adapters: Adapters,
  head: TensorSource,
  dropout: DropoutPlan['dropout'],
  dtype: Scalar,
): Expression => sequenceHead(config, head, encoder(config, frozen, batchInputs(dtype), adapters, dropout), rowSelection('batch'), dropout)

/** Each matrix gets its stretch of the gates. */
const adaptersOf = (modules: ReadonlyArray<AdaptedModule>, scale: number, parameter: TensorSource, gates: Expression | null): Adapters => {
  const starts = modules.map((_, i) => modules.slice(0, i).reduce((sum, { r }) => sum + r, 0))
  return new Map(
    modules.map(({ name, r }, i) => [
      name,
      { A: parameter(`${name}.A`), B: parameter(`${name}.B`), g: gates === null ? null : slice(gates, 0, starts[i] ?? 0, r), scale },
    ]),
  )
}
