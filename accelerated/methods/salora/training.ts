/** What SaLoRA trains: low-rank factors with sampled gates, the terms of equations (9) and (12) or (10), and the scalars of Algorithm 1's updates. */
import { add, concat, constant, input, mul, reduceSum } from '../../graph/operators.js'
import type { TensorSource } from '../../models/host.js'
import { zeroInitial } from '../../parameters/initialization.js'
import type { Trainable } from '../../parameters/layout.js'
import type { OptimizerGroup } from '../../parameters/optimizerGroup.js'
import { uniforms } from '../../parameters/random.js'
import { pickAdamSettings } from '../../settings/commonSettings.js'
import { factorTensors, lowRankWrap, type LowRankFactors } from '../lowRank.js'
import type { Controls, MethodTraining, Penalty, TrainingProgress } from '../method.js'
import { gateAdam, gateControl, gateSchedule } from './gateControl.js'
import { sampleGate } from './hardConcrete.js'
import { density, densityPenalty, gateCosts, gatePenalty } from './lagrangian.js'
import { orthogonality } from './orthogonality.js'
import { gateCount, type SaloraPhase } from './phase.js'
import { earlyGate } from './phases.js'
import type { SaloraSettings } from './settings.js'
import { gatedRows } from './stackedFactors.js'

export const saloraTraining: MethodTraining<SaloraSettings, SaloraPhase> = {
  tensors: (phase, settings) => [
    ...factorTensors(phase.matrices, settings),
    ...(phase.stage === 'gated' ? controlTensors(phase, settings) : []),
  ],
  wrap: (phase, settings, parameter) => lowRankWrap(readFactors(phase, settings, parameter), settings.loraDropout),
  penalty: (phase, settings, parameter) => {
    const regularizer = buildRegularizer(phase, settings, parameter)
    if (phase.stage !== 'gated') return regularizer
    const logTheta = parameter('logTheta')
    const c = density(settings, gateCosts(phase.matrices))(logTheta)
    const lambda = parameter('lambda')
    const constraint =
      typeof settings.control === 'number'
        ? gatePenalty(settings)(lambda, logTheta)
        : densityPenalty(lambda, c, input('targetDensity', [], logTheta.dtype))
    return {
      value: regularizer === null ? constraint : add(regularizer.value, constraint),
      report: { ...regularizer?.report, density: c },
    }
  },
  controls: (phase, settings, progress) => (phase.stage === 'gated' ? computeControls(phase, settings, progress) : {}),
}

/** β times equation (9)'s norms: their mean over the adapted matrices, or their sum. Reports each norm. */
const buildRegularizer = (
  { matrices, squaredNorms }: SaloraPhase,
  { beta, orthogonality: reduction, orthogonalityAfter }: SaloraSettings,
  parameter: TensorSource,
): Penalty | null => {
  if (beta === 0 || matrices.length === 0 || (squaredNorms !== null && orthogonalityAfter === 'off')) return null
  const factors = (of: 'A' | 'B') => matrices.map(({ name }) => parameter(`${name}.${of}`))
  const normsOfA = orthogonality(factors('A'), { columns: false })
  const normsOfB = orthogonality(factors('B'), { columns: true, squaredNorms: orthogonalityAfter === 'folded' ? squaredNorms : null })
  const sum = add(reduceSum(normsOfA.norms), reduceSum(normsOfB.norms))
  return {
    value: mul(sum, reduction === 'mean' ? beta / (2 * matrices.length) : beta),
    report: { orthogonality: concat([normsOfA.inOrder, normsOfB.inOrder], 0) }, // [2K]: Figure 6 draws A and B separately
  }
}

/** λ is a scalar; Θ of all matrices is one vector, in their order. */
const controlTensors = (phase: SaloraPhase, settings: SaloraSettings): readonly Trainable[] => [
  { name: 'logTheta', shape: [gateCount(phase)], group: gateGroup(settings), initial: zeroInitial },
  { name: 'lambda', shape: [], group: multiplierGroup(settings), initial: zeroInitial },
]

/** Θ descends by Adam at η_c, without decay, or by Algorithm 1's plain steps. */
const gateGroup = ({ control }: SaloraSettings): OptimizerGroup => ({
  name: 'gates',
  adam: control === 'descent' ? null : gateAdam,
  weightDecay: 0,
  direction: 'descent',
  learningRateFeed: 'controlLearningRate',
  learningRateRatio: 1,
  correctionPrefix: 'gate',
  isWeight: false,
  nonNegative: false,
})

/** λ ascends, by Adam or by plain steps, and is projected to λ ≥ 0. The rate of a constant λ is 0. */
const multiplierGroup = (settings: SaloraSettings): OptimizerGroup => ({
  name: 'multiplier',
  adam: settings.control === 'descent' ? null : pickAdamSettings(settings),
  weightDecay: 0,
  direction: 'ascent',
  learningRateFeed: 'multiplierLearningRate',
  learningRateRatio: 1,
  correctionPrefix: 'multiplier',
  isWeight: false,
  nonNegative: true,
})

/** Factors by matrix. Sampled gates are in A already. */
const readFactors = (phase: SaloraPhase, settings: SaloraSettings, parameter: TensorSource): ReadonlyMap<string, LowRankFactors> => {
  const sampled =
    phase.stage === 'gated'
      ? sampleGate(settings)(parameter('logTheta'), input('u', [gateCount(phase)], parameter('logTheta').dtype))
      : null
  const scale = (settings.loraAlpha / settings.rank) * (phase.stage === 'before' ? earlyGate(settings) : 1)
  const plain = phase.matrices.map(({ name }) => parameter(`${name}.A`))
  const gated = sampled === null ? plain : gatedRows(plain, sampled)
  return new Map(
    phase.matrices.flatMap(({ name, r }, i) => {
      const [A, kept] = [gated[i], phase.gates?.[i]]
      if (A === undefined) return []
      return [[name, { A, B: parameter(`${name}.B`), g: kept === undefined ? null : constant(kept, [r], A.dtype), scale }]]
    }),
  )
}

/** The step's noise, target density and learning rates, and the bias corrections of Θ and λ, whose steps are the gated ones. */
const computeControls = (phase: SaloraPhase, settings: SaloraSettings, { step, steps }: TrainingProgress): Controls => {
  const { start, end } = gateSchedule(settings, steps)
  const [count, t] = [gateCount(phase), step - (phase.opened?.step ?? start) + 1]
  const control = gateControl({
    control: settings.control,
    steps: end - start,
    gates: count,
    initialDensity: phase.opened?.density ?? NaN,
    targetDensity: settings.density,
    controlLearningRate: settings.controlLearningRate,
  })(t)
  const adam = pickAdamSettings(settings)
  return {
    u: uniforms(settings.seed, 'gates', step, count),
    targetDensity: control.targetDensity,
    controlLearningRate: control.controlLearningRate,
    multiplierLearningRate: control.multiplierLearningRate,
    gateCorrection1: 1 - gateAdam.beta1 ** t,
    gateCorrection2: 1 - gateAdam.beta2 ** t,
    multiplierCorrection1: 1 - adam.beta1 ** t,
    multiplierCorrection2: 1 - adam.beta2 ** t,
  }
}
